"""Read everything once: what the commands that look need. Works with no daemon running."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from reconciler.config import Settings
from reconciler.core.claims import ClaimTable
from reconciler.core.instances import Instances, labels_of
from reconciler.core.model import (
    Cause,
    Container,
    Desired,
    Observed,
    Plan,
    ServerRef,
    Unplaced,
)
from reconciler.core.placement import joined_ports
from reconciler.core.plan import agreed, backends_with_slots, free_ports, plan
from reconciler.core.swarm import SwarmView
from reconciler.core.view import Reading, SlotRow, Tenants, slot_rows
from reconciler.discovery.engine import DEFAULT_TIMEOUT_SECONDS, Engine
from reconciler.discovery.fleet import joined
from reconciler.discovery.own import own_container_id
from reconciler.discovery.stops import REACH_BACK_SECONDS, Stops
from reconciler.discovery.swarm_api import SwarmApi
from reconciler.discovery.swarm_json import Role, required
from reconciler.errors import DiscoveryError, RuntimeSocketError, SwarmError
from reconciler.haproxy.proxy import RuntimeProxy
from reconciler.rules import context_for, rules_for


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyWorld:
    """One HAProxy as read, and what a pass would do to it."""

    name: str
    container: str | None = None
    """In which it was found; None where its socket was given."""
    observed: Observed | None = None
    readings: Mapping[ServerRef, Reading] = field(default_factory=dict)
    desired: Desired = field(default_factory=Desired)
    plan: Plan = field(default_factory=Plan)
    error: RuntimeSocketError | None = None
    file_ports: Mapping[str, int] = field(default_factory=dict)
    """The port on a backend's slots' lines, as this HAProxy reads ``--base-cfg``."""


# asyncio.run() spells out its task with the result, only to throw the text away: 0.2 s for
# 10,000 slots.
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class World:
    """Docker and every HAProxy at one moment."""

    settings: Settings
    claims: ClaimTable
    proxies: tuple[ProxyWorld, ...]
    now: float
    """When it was read, on the clock that dates the servers."""
    engine_error: DiscoveryError | None = None
    problems: tuple[str, ...] = ()
    """Why a HAProxy that should be found is not, in words."""
    role: Role | None = None
    """What the engine is in a swarm; None with ``--swarm off``, or where it cannot be read."""

    @property
    def errors(self) -> list[DiscoveryError | RuntimeSocketError]:
        """Whatever could not be read."""
        found: list[DiscoveryError | RuntimeSocketError] = []
        if self.engine_error is not None:
            found.append(self.engine_error)
        found += [DiscoveryError(problem) for problem in self.problems]
        return found + [p.error for p in self.proxies if p.error is not None]

    def backends(self) -> frozenset[str]:
        """Return the backends that have slots in any HAProxy that was read."""
        prefix = self.settings.slot_prefix
        return frozenset().union(
            *(
                backends_with_slots(proxy.observed.backends, prefix)
                for proxy in self.proxies
                if proxy.observed is not None
            )
        )

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


class Lookout:
    """Reads Docker and every HAProxy, as often as asked, over connections it keeps open."""

    def __init__(
        self,
        settings: Settings,
        *,
        docker_timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    ) -> None:
        """Raises ConfigError for wrong settings. Nothing is opened yet."""
        settings.check_tls()
        self._settings = settings
        self._instances = Instances(settings.sources)
        self._proxies = {one: self._proxy(one) for one in settings.sockets}
        self._engine = Engine(
            settings.docker,
            timeout_seconds=docker_timeout_seconds,
            keep=labels_of(settings.sources),
        )
        self._find_context = context_for(settings, own_container_id())
        self._claims = ClaimTable(self._find_context({}))
        self._slot_file = settings.slot_file()

    async def look(self, *, with_connections: bool = True) -> World:
        """Read everything, all at once. What cannot be read becomes an error.

        ``with_connections`` False reads the connections in use only where somebody waits
        for a slot and they tell why. The world is good until the next one is read.
        """
        async with asyncio.TaskGroup() as tasks:
            listing = tasks.create_task(_containers(self._engine, self._settings.swarm))
            observing = [
                tasks.create_task(
                    self._observed(name, with_connections=with_connections)
                )
                for name in self._settings.sockets
            ]
        listed = listing.result()
        engine_error = listed if isinstance(listed, DiscoveryError) else None
        containers, role = ([], None) if isinstance(listed, DiscoveryError) else listed
        self._learn(containers)
        found = await self._found(with_connections=with_connections)
        seen = [*(task.result() for task in observing), *found]
        self._learn_ports(seen)
        worlds = [self._planned(one, is_known=engine_error is None) for one in seen]
        if not with_connections:
            worlds = await asyncio.gather(*map(self._looked_closer, worlds))
        return World(
            settings=self._settings,
            claims=self._claims,
            proxies=tuple(worlds),
            now=asyncio.get_running_loop().time(),
            engine_error=engine_error,
            role=role,
            problems=self._problems(engine_error),
        )

    def _problems(self, engine_error: DiscoveryError | None) -> tuple[str, ...]:
        """Return why a HAProxy that should be found is not, in words."""
        if engine_error is None:
            return tuple(self._instances.problems)
        return tuple(
            f"haproxies by {one.text} are not known while docker cannot be read"
            for one in self._settings.sources
        )

    def _proxy(self, address: str) -> RuntimeProxy:
        timeout = self._settings.haproxy_timeout_seconds
        return RuntimeProxy(address, timeout_seconds=timeout, tls=self._settings.tls)

    async def _found(self, *, with_connections: bool) -> list[ProxyWorld]:
        """Read the HAProxies that are found by what was just read of Docker.

        One that is about to end, and does not answer any more, is as good as gone.
        """
        found = self._instances.found
        names = found.keys() - set(self._settings.sockets)
        for name in self._proxies.keys() - names - set(self._settings.sockets):
            await self._proxies.pop(name).aclose()
        for name in names - self._proxies.keys():
            self._proxies[name] = self._proxy(name)
        worlds = await asyncio.gather(
            *(
                self._observed(name, with_connections=with_connections)
                for name in sorted(names)
            )
        )
        return [
            dataclasses.replace(one, container=found[one.name].container)
            for one in worlds
            if one.error is None or not found[one.name].is_leaving
        ]

    def _learn(self, containers: list[Container]) -> None:
        """Take in what runs now; what is as it was costs nothing."""
        running = {c.id: c for c in containers if c.is_running}
        known = self._claims.containers
        changed: dict[str, Container | None] = {
            key: one for key, one in running.items() if known.get(key) != one
        }
        changed |= dict.fromkeys(known.keys() - running.keys())
        known_ports = self._claims.context
        self._claims.set_context(
            dataclasses.replace(
                self._find_context(running),
                free_ports=known_ports.free_ports,
                file_ports=known_ports.file_ports,
            )
        )
        self._claims.update(changed)
        self._instances.update(changed, running, self._claims.context)

    def _learn_ports(self, seen: list[ProxyWorld]) -> None:
        """Take in the ports that the HAProxys just read tell."""
        ports = joined_ports(
            (
                free_ports(one.observed.backends, self._settings.slot_prefix),
                one.file_ports,
            )
            for one in seen
            if one.observed is not None
        )
        self._claims.set_context(
            dataclasses.replace(
                self._claims.context, free_ports=ports.free, file_ports=ports.on_file
            )
        )

    async def _observed(self, name: str, *, with_connections: bool) -> ProxyWorld:
        proxy = self._proxies[name]
        try:
            observed, readings = await proxy.survey(with_connections=with_connections)
            told = self._slot_file.untold
            if self._slot_file.asks:
                facts = await proxy.facts(self._slot_file.variables)
                told = await asyncio.to_thread(self._slot_file.told, facts)
        except RuntimeSocketError as error:
            return ProxyWorld(name=name, error=error)
        return ProxyWorld(
            name=name, observed=observed, readings=readings, file_ports=told.ports
        )

    async def _looked_closer(self, world: ProxyWorld) -> ProxyWorld:
        """Read a HAProxy again with its connections, where the plan wants them."""
        if not world.plan.wants_connections:
            return world
        again = await self._observed(world.name, with_connections=True)
        return self._planned(
            dataclasses.replace(again, container=world.container), is_known=True
        )

    def _planned(self, world: ProxyWorld, *, is_known: bool) -> ProxyWorld:
        """Add what is desired and what a pass would do; nothing where Docker is unknown."""
        observed = world.observed
        if observed is None or not is_known:
            return world
        rules = rules_for(self._settings)(observed.process)
        backends = backends_with_slots(observed.backends, rules.slot_prefix)
        desired = self._claims.desired(backends)
        ports = free_ports(observed.backends, rules.slot_prefix)
        observed = dataclasses.replace(
            observed,
            template_ports={**world.file_ports, **agreed(ports)},
        )
        now = asyncio.get_running_loop().time()
        return dataclasses.replace(
            world, desired=desired, plan=plan(desired, observed, rules, now=now)
        )

    async def __aenter__(self) -> Self:
        """Nothing is opened yet."""
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        """Close every connection."""
        await asyncio.gather(*(proxy.aclose() for proxy in self._proxies.values()))
        await self._engine.aclose()


async def read_world(
    settings: Settings,
    *,
    with_connections: bool = True,
    docker_timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
) -> World:
    """Read Docker and every HAProxy once; see :meth:`Lookout.look`.

    Raises ConfigError for wrong settings.
    """
    async with Lookout(
        settings, docker_timeout_seconds=docker_timeout_seconds
    ) as lookout:
        return await lookout.look(with_connections=with_connections)


async def _containers(
    engine: Engine, swarm: str
) -> tuple[list[Container], Role | None] | DiscoveryError:
    try:
        listed = await engine.containers()
        if swarm == "off":
            role, view = None, None
        else:
            role, view = await _swarm(engine, is_wanted=swarm == "on")
    except DiscoveryError as error:
        return error
    with suppress(DiscoveryError):
        # Events may be out of reach; the list is what matters.
        listed = await _with_stops(engine, listed)
    return (listed if view is None else joined(listed, view)), role


async def _swarm(engine: Engine, *, is_wanted: bool) -> tuple[Role, SwarmView | None]:
    """Read the engine's role, and the swarm if it has one to tell of.

    Raises SwarmError.
    """
    api = SwarmApi(engine)
    try:
        role = await api.role()
        required(role, is_wanted=is_wanted)
        if not role.is_manager:
            return role, None
        tasks, services, nodes = await asyncio.gather(
            api.all_tasks(), api.services(), api.nodes()
        )
    except SwarmError:
        raise
    except DiscoveryError as error:
        raise SwarmError(f"the swarm cannot be read: {error}") from error
    view = SwarmView(own_node=role.node_id, services=services, nodes=nodes, tasks=tasks)
    return role, view


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


async def find_container(settings: Settings, name: str) -> Container | None:
    """Return a container by name or id, running or not; None where there is none.

    Raises DockerUnavailableError.
    """
    engine = Engine(settings.docker)
    try:
        return await engine.container(name)
    finally:
        await engine.aclose()
