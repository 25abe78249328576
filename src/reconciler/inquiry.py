"""Read everything once: what the commands that look need. Works with no daemon running."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.app import context_for, rules_for
from reconciler.config import Settings
from reconciler.core.claims import ClaimTable
from reconciler.core.model import (
    Cause,
    Container,
    Desired,
    Observed,
    Plan,
    ServerRef,
    Unplaced,
)
from reconciler.core.plan import backends_with_slots, plan
from reconciler.core.view import Reading, SlotRow, Tenants, slot_rows
from reconciler.discovery.engine import DEFAULT_TIMEOUT_SECONDS, Engine
from reconciler.discovery.own import own_container_id
from reconciler.discovery.stops import REACH_BACK_SECONDS, Stops
from reconciler.errors import DiscoveryError, RuntimeSocketError
from reconciler.haproxy.proxy import RuntimeProxy


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyWorld:
    """One HAProxy as read, and what a pass would do to it."""

    name: str
    observed: Observed | None = None
    readings: Mapping[ServerRef, Reading] = field(default_factory=dict)
    desired: Desired = field(default_factory=Desired)
    plan: Plan = field(default_factory=Plan)
    error: RuntimeSocketError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Docker and every HAProxy at one moment."""

    settings: Settings
    claims: ClaimTable
    proxies: tuple[ProxyWorld, ...]
    now: float
    """When it was read, on the clock that dates the servers."""
    engine_error: DiscoveryError | None = None

    @property
    def errors(self) -> list[DiscoveryError | RuntimeSocketError]:
        """Whatever could not be read."""
        found: list[DiscoveryError | RuntimeSocketError] = []
        if self.engine_error is not None:
            found.append(self.engine_error)
        return found + [p.error for p in self.proxies if p.error is not None]

    def slot_rows(self) -> list[SlotRow]:
        """Return a row for every slot of every HAProxy that was read."""
        rows = []
        for proxy in self.proxies:
            if proxy.observed is None:
                continue
            rows += slot_rows(
                proxy.name,
                proxy.observed.backends,
                prefix=self.settings.slot_prefix,
                tenants=Tenants(
                    self.claims.containers.values(), proxy.desired.all_endpoints()
                ),
                readings=proxy.readings,
                now=self.now,
            )
        return rows

    def unplaced(self) -> list[tuple[str, Unplaced]]:
        """Return who has no slot, with the HAProxy that has none for them.

        A backend that one HAProxy lacks and another has is no news.
        """
        known = {name for proxy in self.proxies for name in proxy.desired.endpoints}
        return [
            (proxy.name, one)
            for proxy in self.proxies
            for one in proxy.plan.unplaced
            if one.cause is not Cause.UNKNOWN_BACKEND or one.backend not in known
        ]


async def read_world(
    settings: Settings, *, docker_timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
) -> World:
    """Read Docker and every HAProxy, all at once. What cannot be read becomes an error.

    Raises ConfigError for wrong settings.
    """
    proxies = [
        RuntimeProxy(address, timeout_seconds=settings.haproxy_timeout_seconds)
        for address in settings.haproxy
    ]
    engine = Engine(settings.docker, timeout_seconds=docker_timeout_seconds)
    find_context = context_for(settings, own_container_id())
    try:
        async with asyncio.TaskGroup() as tasks:
            listing = tasks.create_task(_containers(engine))
            observing = [tasks.create_task(_observed(proxy)) for proxy in proxies]
    finally:
        await asyncio.gather(*(proxy.aclose() for proxy in proxies))
        await engine.aclose()
    by_id: dict[str, Container] = {}
    engine_error = None
    containers = listing.result()
    if isinstance(containers, DiscoveryError):
        engine_error = containers
    else:
        by_id = {c.id: c for c in containers if c.is_running}
    claims = ClaimTable(find_context(by_id))
    claims.update(by_id)
    return World(
        settings=settings,
        claims=claims,
        proxies=tuple(
            _planned(settings, claims, task.result(), is_known=engine_error is None)
            for task in observing
        ),
        now=asyncio.get_running_loop().time(),
        engine_error=engine_error,
    )


async def _containers(engine: Engine) -> list[Container] | DiscoveryError:
    try:
        listed = await engine.containers()
    except DiscoveryError as error:
        return error
    try:
        return await _with_stops(engine, listed)
    except DiscoveryError:
        return listed  # events may be out of reach; the list is what matters


async def _with_stops(engine: Engine, listed: list[Container]) -> list[Container]:
    """Mark who is about to end, by the signals the engine remembers."""
    now, stops = await engine.now(), Stops()
    for event in await engine.past_events(since=now - REACH_BACK_SECONDS, until=now):
        stops.note(event, event.at, is_news=False)
    stopping = set()
    for container_id in stops.signalled() & {one.id for one in listed}:
        found = await engine.container(container_id)
        rule = None if found is None else found.stop
        if rule is not None and stops.remaining(container_id, rule, now) > 0:
            stopping.add(container_id)
    return [
        dataclasses.replace(one, is_stopping=True) if one.id in stopping else one
        for one in listed
    ]


async def _observed(proxy: RuntimeProxy) -> ProxyWorld:
    try:
        observed = await proxy.observe(with_connections=True)
        readings = await proxy.readings()
    except RuntimeSocketError as error:
        return ProxyWorld(name=proxy.name, error=error)
    return ProxyWorld(name=proxy.name, observed=observed, readings=readings)


def _planned(
    settings: Settings, claims: ClaimTable, world: ProxyWorld, *, is_known: bool
) -> ProxyWorld:
    """Add what is desired and what a pass would do; nothing where Docker is unknown."""
    observed = world.observed
    if observed is None or not is_known:
        return world
    now = asyncio.get_running_loop().time()
    backends = backends_with_slots(observed.backends, settings.slot_prefix)
    desired = claims.desired(backends)
    return dataclasses.replace(
        world,
        desired=desired,
        plan=plan(desired, observed, rules_for(settings)(observed.process), now=now),
    )


async def find_container(settings: Settings, name: str) -> Container | None:
    """Return a container by name or id, running or not; None where there is none.

    Raises DockerUnavailableError.
    """
    engine = Engine(settings.docker)
    try:
        return await engine.container(name)
    finally:
        await engine.aclose()
