"""All claims of all containers, indexed, so that one event costs one container.

The one mutable thing in the core. It holds no rule: rules are in placement and desired.
"""

from __future__ import annotations

import dataclasses
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
    ANY_PORT,
    Container,
    Desired,
    Endpoint,
    Place,
    Resident,
    Residents,
    Server,
    Tenant,
    Unplaced,
)
from reconciler.core.placement import Context, has_own_port
from reconciler.core.residents import (
    label_address,
    named_backends,
    one_of_several,
    resident,
)
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
        self._at_address: dict[tuple[str, str], dict[str, Claim]] = {}
        """The claims on a backend and an address, by container."""
        self._endpoints: dict[tuple[str, str, int], Endpoint] = {}
        self._contested: set[tuple[str, str, int]] = set()
        self._by_address: dict[str, dict[str, Tenant]] = {}
        """By container; several only for the moment in which one address is given out again."""
        self._by_label: dict[str, dict[str, Tenant]] = {}
        """The same by the address that a label gives; many may share one."""
        self._unclaimed: dict[str, frozenset[str]] = {}
        """The backends that a container belongs to and has no claim on, where there are any."""
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
    def residents(self) -> Residents:
        """Who lives in slots that no claim is for, as of the moment of each question."""
        return _Residents(self)

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
        before = self._context
        if context is before or context == before:
            return Touched()
        self._context = context
        concerned = self._containers
        if context == dataclasses.replace(
            before,
            default_ports=context.default_ports,
            free_ports=context.free_ports,
            file_ports=context.file_ports,
        ):
            # Of thousands mostly all tell their ports themselves.
            concerned = {
                key: one for key, one in concerned.items() if not has_own_port(one)
            }
        return self.update(dict(concerned))

    def desired(
        self, backends: Collection[str], *, only: Collection[str | None] | None = None
    ) -> Desired:
        """Return what a HAProxy with these backends should look like.

        ``only`` restricts the answer to claims on some backends (None: claims that could
        not even name one).
        """
        return desired_from(
            self.of(only),
            backends,
            generation=self._generation,
            residents=self.residents,
        )

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
        found: list[Claim] = []
        for address, port in places:
            if port == ANY_PORT:
                found += self._at_address.get((backend, address), {}).values()
            else:
                found += self._at.get((backend, address, port), ())
        return found

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
        sharing = self._by_address.get(server.address)
        return next(reversed(sharing.values())) if sharing else None

    def resident_at(self, backend: str, address: str, port: int) -> Resident | None:
        """Return who lives at a place of a backend though no claim is for it.

        None: nobody who runs and belongs there.
        """
        place = (address, port)
        container = self._whose(backend, place)
        if container is None:
            return None
        claims = self._claims.get(container.id, ())
        outcome = next((c.outcome for c in claims if c.backend == backend), None)
        if outcome is None:
            outcome = next((c.outcome for c in claims if c.backend is None), None)
        return resident(container, place, backend, self._context, outcome)

    def _whose(self, backend: str, place: Place) -> Container | None:
        """Return the running container that lives at a place, by its networks or its label.

        None also where somebody is known to have lived there who has ended: its address was
        given out again.
        """
        ids = {**self._by_address.get(place[0], {}), **self._by_label.get(place[0], {})}
        former = self.last_tenant(backend, *place)
        if former is not None:
            return (
                self._containers.get(former.container_id)
                if (former.container_id in ids)
                else None
            )
        sharing = [self._containers[one] for one in ids if one in self._containers]
        return one_of_several(sharing, place, backend, self._context)

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
        if old:
            for address in _addresses(old):
                _leave(self._by_address, address, old.id)
            if labelled := label_address(old):
                _leave(self._by_label, labelled, old.id)
        if new:
            for address in _addresses(new):
                self._by_address.setdefault(address, {})[new.id] = tenant_of(new)
            if labelled := label_address(new):
                self._by_label.setdefault(labelled, {})[new.id] = tenant_of(new)

    def _set(
        self, container_id: str, container: Container | None, touched: Touched
    ) -> None:
        old = self._claims.pop(container_id, ())
        new: tuple[Claim, ...] = ()
        turning: tuple[Claim, ...] | None = None
        before = self._containers.pop(container_id, None)
        unclaimed = self._unclaimed.pop(container_id, frozenset())
        self._settle(before, container)
        if container is not None:
            self._containers[container_id] = container
            turning = turned(old, before, container) if before else None
            new = turning or claims_of(container, self._context)
            if found := _without_claim(container, new, self._context):
                self._unclaimed[container_id] = found
                unclaimed |= found
        if new:
            self._claims[container_id] = new
        if old != new:
            self._replace(container_id, old, new)
        elif not _may_live_elsewhere(before, container, new, unclaimed):
            return
        addresses: set[Place] = set()
        # Whoever has just begun, as it was expected to, lived nowhere else.
        if not (turning and before is not None and before.is_starting):
            addresses = _any_ports(before, container)
            if unclaimed or _are_unclear((*old, *new)):
                addresses |= _labelled(before, container)
        for claim in (*old, *new):
            touched.add(claim.backend, container_id, {*_places(claim), *addresses})
        for backend in unclaimed:
            touched.add(backend, container_id, addresses)

    def _replace(
        self, container_id: str, old: tuple[Claim, ...], new: tuple[Claim, ...]
    ) -> None:
        """Index a container's new claims in place of its old ones."""
        for claim in old:
            self._withdraw(container_id, claim)
        for claim in new:
            self._enter(container_id, claim)
        if self._contested:
            self._judge((*old, *new))

    def _withdraw(self, container_id: str, claim: Claim) -> None:
        self._by_backend[claim.backend].pop(container_id, None)
        outcome = claim.outcome
        if isinstance(outcome, Endpoint):
            left = tuple(c for c in self._at.get(outcome.key, ()) if c != claim)
            if left:
                self._at[outcome.key] = left
            else:
                self._at.pop(outcome.key, None)
            sharing = self._at_address[outcome.backend, outcome.address]
            del sharing[container_id]
            if not sharing:
                del self._at_address[outcome.backend, outcome.address]

    def _enter(self, container_id: str, claim: Claim) -> None:
        self._by_backend.setdefault(claim.backend, {})[container_id] = claim
        outcome = claim.outcome
        if isinstance(outcome, Endpoint):
            self._remember(outcome)
            self._at[outcome.key] = (*self._at.get(outcome.key, ()), claim)
            address = (outcome.backend, outcome.address)
            self._at_address.setdefault(address, {})[container_id] = claim


class _Residents:
    """Asks a table of claims as of this moment: a plan in a thread may be a little behind."""

    def __init__(self, claims: ClaimTable) -> None:
        self._claims = claims

    def at(self, backend: str, address: str, port: int) -> Resident | None:
        """Return who lives at a place and belongs into a backend, None where nobody does."""
        return self._claims.resident_at(backend, address, port)


def _without_claim(
    container: Container, claims: Collection[Claim], context: Context
) -> frozenset[str]:
    """Return the backends a container belongs to by its own word, and does not ask for."""
    claimed = {claim.backend for claim in claims}
    if claims and None not in claimed:
        return frozenset()
    return named_backends(container, context) - claimed


def _may_live_elsewhere(
    before: Container | None,
    after: Container | None,
    claims: Collection[Claim],
    unclaimed: Collection[str],
) -> bool:
    """Whether a change that leaves the claims as they were may still concern a slot.

    That of somebody who has one without a claim for it: by addresses that it no longer has,
    or by what it is now.
    """
    if before is None or after is None or before == after:
        return before is not after and bool(unclaimed)
    is_concerned = _are_unclear(claims) or bool(unclaimed)
    return is_concerned or before.networks != after.networks


def _are_unclear(claims: Iterable[Claim]) -> bool:
    return any(isinstance(claim.outcome, Unplaced) for claim in claims)


def _leave(
    found: dict[str, dict[str, Tenant]], address: str, container_id: str
) -> None:
    """A container has an address no more."""
    sharing = found.get(address, {})
    sharing.pop(container_id, None)
    if not sharing:
        found.pop(address, None)


def _any_ports(*lives: Container | None) -> set[Place]:
    """Return every address that a container has, or had before it changed."""
    return {
        (address, ANY_PORT)
        for one in lives
        if one is not None
        for address in _addresses(one)
    }


def _labelled(*lives: Container | None) -> set[Place]:
    """Return the same of the addresses by label, which many containers may share."""
    found = (label_address(one) for one in lives if one is not None)
    return {(address, ANY_PORT) for address in found if address is not None}


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
