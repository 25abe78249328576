"""All claims of all containers, indexed, so that one event costs one container.

The one mutable thing in the core. It holds no rule: rules are in placement and desired.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from reconciler.core.desired import Claim, claims_of, desired_from
from reconciler.core.model import Container, Desired, Endpoint, Tenant
from reconciler.core.placement import Context


_FORMER_KEPT = 1024
"""How many former tenants are remembered at least, beyond those that live now."""


class ClaimTable:
    """What every running container asks for, by the backend it asks for."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._containers: dict[str, Container] = {}
        self._claims: dict[str, tuple[Claim, ...]] = {}
        self._by_backend: dict[str | None, dict[str, Claim]] = {}
        self._tenants: dict[tuple[str, str, int], Tenant] = {}
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

    def update(self, changes: Mapping[str, Container | None]) -> set[str | None]:
        """Take in changed containers (None: gone); return the backends concerned."""
        touched: set[str | None] = set()
        for container_id, container in changes.items():
            touched |= self._set(container_id, container)
        if touched:
            self._generation += 1
        return touched

    def set_context(self, context: Context) -> set[str | None]:
        """Judge every container anew, if the context differs; return backends concerned."""
        if context == self._context:
            return set()
        self._context = context
        return self.update(dict(self._containers))

    def desired(
        self, backends: Collection[str], *, only: Collection[str | None] | None = None
    ) -> Desired:
        """Return what a HAProxy with these backends should look like.

        ``only`` restricts the answer to claims on some backends (None: claims that could
        not even name one).
        """
        wanted = self._by_backend.keys() if only is None else only
        claims = [
            claim
            for backend in wanted
            for claim in self._by_backend.get(backend, {}).values()
        ]
        return desired_from(claims, backends, generation=self._generation)

    def last_tenant(self, backend: str, address: str, port: int) -> Tenant | None:
        """Return who lives at an endpoint, or lived there last; None where nobody knows.

        For people and logs: whoever is released has left the claims already.
        """
        return self._tenants.get((backend, address, port))

    def _remember(self, endpoint: Endpoint) -> None:
        self._tenants.pop(endpoint.key, None)
        self._tenants[endpoint.key] = endpoint.tenant
        if len(self._tenants) > 2 * len(self._claims) + 2 * _FORMER_KEPT:
            for key in list(self._tenants)[: len(self._tenants) // 2]:
                self._forget(key)

    def _forget(self, key: tuple[str, str, int]) -> None:
        """Drop a tenant that has gone."""
        if self._tenants[key].container_id not in self._claims:
            del self._tenants[key]

    def _set(self, container_id: str, container: Container | None) -> set[str | None]:
        old = self._claims.pop(container_id, ())
        new: tuple[Claim, ...] = ()
        self._containers.pop(container_id, None)
        if container is not None:
            self._containers[container_id] = container
            new = claims_of(container, self._context)
        if new:
            self._claims[container_id] = new
        if old == new:
            return set()
        for claim in old:
            self._by_backend[claim.backend].pop(container_id, None)
        for claim in new:
            self._by_backend.setdefault(claim.backend, {})[container_id] = claim
            if isinstance(claim.outcome, Endpoint):
                self._remember(claim.outcome)
        return {claim.backend for claim in (*old, *new)}
