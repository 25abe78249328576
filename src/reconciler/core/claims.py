"""All claims of all containers, indexed, so that one event costs one container.

The one mutable thing in the core. It holds no rule: rules are in placement and desired.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from reconciler.core.desired import (
    Claim,
    claims_of,
    desired_from,
    is_same_tenant,
    tenant_of,
    turned,
)
from reconciler.core.model import (
    Container,
    Desired,
    Endpoint,
    Place,
    Server,
    Tenant,
)
from reconciler.core.placement import Context
from reconciler.core.touched import Touched


_FORMER_KEPT = 1024
"""How many former tenants are remembered at least, beyond those that live now."""


class ClaimTable:
    """What every running container asks for, by the backend it asks for."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._containers: dict[str, Container] = {}
        self._claims: dict[str, tuple[Claim, ...]] = {}
        self._by_backend: dict[str | None, dict[str, Claim]] = {}
        self._at: dict[tuple[str, str, int], tuple[Claim, ...]] = {}
        """The claims on each endpoint: one, where nobody contests it."""
        self._endpoints: dict[tuple[str, str, int], Endpoint] = {}
        self._contested: set[tuple[str, str, int]] = set()
        self._by_address: dict[str, Tenant] = {}
        self._generation = 0

    @property
    def generation(self) -> int:
        """Rises with every change."""
        return self._generation

    @property
    def context(self) -> Context:
        """What the rules currently take for granted."""
        return self._context

    @property
    def containers(self) -> Mapping[str, Container]:
        """The running containers by id."""
        return self._containers

    def update(self, changes: Mapping[str, Container | None]) -> Touched:
        """Take in changed containers (None: gone); return whose claims changed, and where."""
        touched = Touched()
        for container_id, container in changes.items():
            self._set(container_id, container, touched)
        if touched:
            self._generation += 1
        return touched

    def set_context(self, context: Context) -> Touched:
        """Judge every container anew, if the context differs; return what changed."""
        if context is self._context or context == self._context:
            return Touched()
        self._context = context
        return self.update(dict(self._containers))

    def desired(
        self, backends: Collection[str], *, only: Collection[str | None] | None = None
    ) -> Desired:
        """Return what a HAProxy with these backends should look like.

        ``only`` restricts the answer to claims on some backends (None: claims that could
        not even name one).
        """
        return desired_from(self.of(only), backends, generation=self._generation)

    def of(self, backends: Collection[str | None] | None = None) -> list[Claim]:
        """Return the claims on some backends (None: on all)."""
        wanted = self._by_backend.keys() if backends is None else backends
        return [
            claim
            for backend in wanted
            for claim in self._by_backend.get(backend, {}).values()
        ]

    def at(self, touched: Touched) -> list[Claim]:
        """Return the claims that these changes concern, and no others.

        Those on the places concerned, whoever makes them, and those of the containers.
        """
        found: dict[tuple[str | None, str], Claim] = {}
        for backend, spots in touched.by_backend.items():
            claims = self._by_backend.get(backend, {})
            mine = [claims[one] for one in spots if one in claims]
            for claim in (*mine, *self._on(backend, touched.places(backend))):
                found[backend, claim.outcome.tenant.container_id] = claim
        return list(found.values())

    def _on(self, backend: str | None, places: Iterable[Place]) -> list[Claim]:
        if backend is None:
            return []
        return [
            claim
            for address, port in places
            for claim in self._at.get((backend, address, port), ())
        ]

    def last_tenant(self, backend: str, address: str, port: int) -> Tenant | None:
        """Return who lives at an endpoint, or lived there last; None where nobody knows.

        For people and logs: whoever is released has left the claims already.
        """
        found = self._endpoints.get((backend, address, port))
        return None if found is None else found.tenant

    def tenant_of(self, server: Server) -> Tenant | None:
        """Return who lives in a slot: by endpoint, else by address; None: nobody known.

        It answers what :class:`reconciler.core.view.Tenants` answers, at once: that one is
        made from all containers.
        """
        key = (server.ref.backend, server.address, server.port)
        found = self._endpoints.get(key)
        if found is not None and self._lives(found):
            return found.tenant
        return self._by_address.get(server.address)

    def _lives(self, endpoint: Endpoint) -> bool:
        claims = self._claims.get(endpoint.tenant.container_id, ())
        return any(claim.outcome == endpoint for claim in claims)

    def _remember(self, endpoint: Endpoint) -> None:
        before = self._endpoints.pop(endpoint.key, None)
        self._endpoints[endpoint.key] = endpoint
        is_other = before is not None and before.tenant != endpoint.tenant
        if before is not None and is_other and self._lives(before):
            self._contested.add(endpoint.key)
        if len(self._endpoints) > 2 * len(self._claims) + 2 * _FORMER_KEPT:
            for key in list(self._endpoints)[: len(self._endpoints) // 2]:
                self._forget(key)

    def _judge(self, claims: Collection[Claim]) -> None:
        """Say who has an endpoint that several claim: the one that `desired_from` says."""
        for claim in claims:
            outcome = claim.outcome
            if isinstance(outcome, Endpoint) and outcome.key in self._contested:
                rivals = self._at.get(outcome.key, ())
                judged = desired_from(rivals, {outcome.backend}).all_endpoints()
                self._endpoints |= {one.key: one for one in judged}
                if len(rivals) < 2:  # noqa: PLR2004 - one alone is no contest
                    self._contested.discard(outcome.key)

    def _forget(self, key: tuple[str, str, int]) -> None:
        """Drop a tenant that has gone."""
        if self._endpoints[key].tenant.container_id not in self._claims:
            del self._endpoints[key]

    def _settle(self, old: Container | None, new: Container | None) -> None:
        """Keep who has which address."""
        if old and new and is_same_tenant(old, new):
            return
        for address in _addresses(old) if old else ():
            if old and self._address_is_of(address, old):
                del self._by_address[address]
        for address in _addresses(new) if new else ():
            if new is not None:
                self._by_address[address] = tenant_of(new)

    def _address_is_of(self, address: str, container: Container) -> bool:
        found = self._by_address.get(address)
        return found is not None and found.container_id == container.id

    def _set(
        self, container_id: str, container: Container | None, touched: Touched
    ) -> None:
        old = self._claims.pop(container_id, ())
        new: tuple[Claim, ...] = ()
        before = self._containers.pop(container_id, None)
        self._settle(before, container)
        if container is not None:
            self._containers[container_id] = container
            turning = turned(old, before, container) if before else None
            new = turning or claims_of(container, self._context)
        if new:
            self._claims[container_id] = new
        if old == new:
            return
        for claim in old:
            self._withdraw(container_id, claim)
        for claim in new:
            self._enter(container_id, claim)
        if self._contested:
            self._judge((*old, *new))
        for claim in (*old, *new):
            touched.add(claim.backend, container_id, _places(claim))

    def _withdraw(self, container_id: str, claim: Claim) -> None:
        self._by_backend[claim.backend].pop(container_id, None)
        outcome = claim.outcome
        if isinstance(outcome, Endpoint):
            left = tuple(c for c in self._at.get(outcome.key, ()) if c != claim)
            if left:
                self._at[outcome.key] = left
            else:
                self._at.pop(outcome.key, None)

    def _enter(self, container_id: str, claim: Claim) -> None:
        self._by_backend.setdefault(claim.backend, {})[container_id] = claim
        outcome = claim.outcome
        if isinstance(outcome, Endpoint):
            self._remember(outcome)
            self._at[outcome.key] = (*self._at.get(outcome.key, ()), claim)


def _places(claim: Claim) -> tuple[Place, ...]:
    outcome = claim.outcome
    return ((outcome.address, outcome.port),) if isinstance(outcome, Endpoint) else ()


def _addresses(container: Container) -> list[str]:
    return [
        address
        for attachment in container.networks
        for address in (attachment.ipv4, attachment.ipv6)
        if address
    ]
