"""Follow a Swarm: events of services and nodes as hints, and the tasks read again and again.

Swarm tells no events of tasks (moby issue 37403). So the tasks that shall run are read every
0.1 s while something moves, and every second while nothing does; less often where reading
them takes long. An engine sends a task's stop signal two seconds or more after it has taken
the task out of its own balancing, so a slot drains well before that.

Level-triggered like everything here: each reading is the whole truth, and while the manager
does not answer everything stays as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import NoReturn, Protocol

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    wait_random_exponential,
)

from reconciler.core.swarm import Node, Phase, Service, SwarmView, Task
from reconciler.discovery.streams import EventStream
from reconciler.discovery.swarm_api import SwarmApi
from reconciler.discovery.swarm_json import Role, SwarmEvent, required
from reconciler.errors import DiscoveryError


BUSY_PAUSE_SECONDS, BUSY_COST, LONGEST_BUSY_PAUSE_SECONDS = 0.1, 4, 0.5
"""Between two readings while something moves; so many times as long as one takes, where that
is longer, but no longer than this: an engine that starts many tasks is slow to answer."""

QUIET_PAUSE_SECONDS, QUIET_COST = 1.0, 50
"""The same while nothing moves: two seconds are what an engine gives us before a stop
signal, and a fiftieth of one processor is what it may cost."""

LONGEST_PAUSE_SECONDS = 10.0

BUSY_SECONDS = 3.0
"""So long after an event or a change something counts as moving."""

RETRY_SECONDS = 2.0
"""Between two attempts to reach a manager that does not answer."""


class SwarmSink(Protocol):
    """Who is told. Every method returns at once."""

    def swarm_read(self, view: SwarmView) -> None:
        """The swarm was read."""

    def swarm_lost(self, reason: str) -> None:
        """It cannot be read."""

    def swarm_off(self) -> None:
        """There is none to read."""


class SwarmWatcher:
    """Follows the swarm that one engine manages, until cancelled."""

    def __init__(
        self,
        api: SwarmApi,
        sink: SwarmSink,
        *,
        is_wanted: bool = False,
        resync_seconds: float = 30.0,
    ) -> None:
        """``is_wanted``: an engine that manages no swarm is an error."""
        self._api = api
        self._sink = sink
        self._is_wanted = is_wanted
        self._resync_seconds = resync_seconds
        self._wakeup = asyncio.Event()
        self._busy_until = 0.0
        self._is_stale = True
        """Whether services and nodes have to be read again."""
        self._was_manager = False
        self._view = SwarmView()

    def hint(self) -> None:
        """Something happened to a task: look soon."""
        self._busy_until = asyncio.get_running_loop().time() + BUSY_SECONDS
        self._wakeup.set()

    async def run(self) -> NoReturn:
        """Follow the swarm for ever; ends only by cancellation."""
        while True:
            role = await self._entered()
            if not role.is_manager:
                self._sink.swarm_off()
                await asyncio.sleep(self._resync_seconds)
                continue
            with suppress(DiscoveryError):
                await self._follow(await self._api.events())

    async def _entered(self) -> Role:
        """Return the engine's role, once it has one; a manager's swarm was read then."""
        async for attempt in self._attempts():
            with attempt:
                role = await self._api.role()
                required(role, is_wanted=self._is_wanted or self._was_manager)
                if role.is_manager:
                    self._view = SwarmView(own_node=role.node_id)
                    await self._read_all()
                    self._was_manager = True
                return role
        raise AssertionError  # the attempts never end

    def _attempts(self) -> AsyncRetrying:
        def tell(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            self._sink.swarm_lost(str(error))

        return AsyncRetrying(
            retry=retry_if_exception_type(DiscoveryError),
            wait=wait_random_exponential(multiplier=0.1, max=RETRY_SECONDS),
            before_sleep=tell,
        )

    async def _follow(self, stream: EventStream[SwarmEvent]) -> None:
        """Read the tasks again and again until the stream ends, or a reading fails."""
        self._is_stale = True  # whatever happened before anybody listened
        listening = asyncio.create_task(self._listen(stream))
        reading = asyncio.create_task(self._read_for_ever())
        try:
            await asyncio.wait(
                {listening, reading}, return_when=asyncio.FIRST_COMPLETED
            )
            for task in (listening, reading):
                if task.done():
                    task.result()
        finally:
            stream.close()
            for task in (listening, reading):
                task.cancel()
            await asyncio.gather(listening, reading, return_exceptions=True)

    async def _listen(self, stream: EventStream[SwarmEvent]) -> None:
        await stream.follow(self._hear)

    def _hear(self, _: SwarmEvent) -> None:
        self._is_stale = True
        self.hint()

    async def _read_for_ever(self) -> NoReturn:
        now = asyncio.get_running_loop().time
        read_all_at = now() + self._resync_seconds
        while True:
            began = now()
            if now() >= read_all_at:
                self._is_stale, read_all_at = True, now() + self._resync_seconds
            await self._read()
            await self._wait(now() - began)

    async def _wait(self, cost: float) -> None:
        """Wait for the next reading; one took so many seconds."""
        now = asyncio.get_running_loop().time
        # However many hints there are, an engine is not asked without a pause.
        await asyncio.sleep(min(BUSY_PAUSE_SECONDS / 2, cost))
        if now() < self._busy_until:
            longest = LONGEST_BUSY_PAUSE_SECONDS
            pause = max(BUSY_PAUSE_SECONDS, min(BUSY_COST * cost, longest))
        else:
            pause = max(QUIET_PAUSE_SECONDS, QUIET_COST * cost)
        with suppress(TimeoutError):
            async with asyncio.timeout(min(pause, LONGEST_PAUSE_SECONDS)):
                await self._wakeup.wait()

    async def _read_all(self) -> None:
        """Read everything there is, the tasks too that are about to end."""
        tasks = {
            key: task
            for key, task in (await self._api.all_tasks()).items()
            if task.is_wanted or task.phase is Phase.RUNNING
        }
        services, nodes = await self._services_and_nodes(tasks)
        self._take(services, nodes, tasks)

    async def _services_and_nodes(
        self, tasks: Mapping[str, Task]
    ) -> tuple[Mapping[str, Service], Mapping[str, Node]]:
        """Return services and nodes, read again where that is due or a task is of new ones.

        A service that was removed is known for as long as it has tasks.
        """
        view = self._view
        used = {task.service_id for task in tasks.values()}
        if not self._is_stale and used <= view.services.keys():
            return view.services, view.nodes
        self._is_stale = False
        services = await self._api.services()
        kept = {key: view.services[key] for key in used & view.services.keys()}
        return {**kept, **services}, await self._api.nodes()

    async def _read(self) -> None:
        """Read the tasks that shall run, and those again that did a moment ago."""
        self._wakeup.clear()
        tasks = await self._api.wanted_tasks()
        leaving = self._view.tasks.keys() - tasks.keys()
        if leaving:
            asked = await self._api.tasks_of(leaving)
            tasks |= {
                key: task
                for key, task in asked.items()
                if task.phase is Phase.RUNNING or task.is_wanted
            }
        services, nodes = await self._services_and_nodes(tasks)
        if tasks != self._view.tasks:
            self.hint()
            self._wakeup.clear()
        self._take(services, nodes, tasks)

    def _take(
        self,
        services: Mapping[str, Service],
        nodes: Mapping[str, Node],
        tasks: Mapping[str, Task],
    ) -> None:
        self._view = SwarmView(
            own_node=self._view.own_node, services=services, nodes=nodes, tasks=tasks
        )
        self._sink.swarm_read(self._view)
