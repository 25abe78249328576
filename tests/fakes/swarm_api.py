"""A swarm's manager for tests of who follows it: what it has is set, what it is asked counts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection

from reconciler.core.swarm import Node, Service, SwarmView, Task
from reconciler.discovery.swarm_json import Role, SwarmEvent
from reconciler.errors import DockerUnavailableError


WAIT_SECONDS = 10.0


class FakeStream:
    """A subscription. Implements :class:`reconciler.discovery.streams.EventStream`."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[SwarmEvent | None] = asyncio.Queue()

    async def follow(self, take: Callable[[SwarmEvent], None]) -> None:
        """Hand out what is sent, until the end."""
        while (event := await self._waiting.get()) is not None:
            take(event)

    def send(self, event: SwarmEvent | None) -> None:
        """Send an event, or the end."""
        self._waiting.put_nowait(event)

    def close(self) -> None:
        """End it."""
        self.send(None)


class FakeSwarmApi:
    """Answers as :class:`reconciler.discovery.swarm_api.SwarmApi` does."""

    def __init__(self, view: SwarmView, role: Role) -> None:
        self.tasks: dict[str, Task] = dict(view.tasks)
        self.service_list: dict[str, Service] = dict(view.services)
        self.node_list: dict[str, Node] = dict(view.nodes)
        self.role_told = role
        self.asked: Counter[str] = Counter()
        self.is_lost = False
        self.streams: list[FakeStream] = []
        self._news = asyncio.Event()

    async def role(self) -> Role:
        """Tell the role."""
        self._note("role")
        return self.role_told

    async def events(self) -> FakeStream:
        """Subscribe."""
        self._note("events")
        self.streams.append(FakeStream())
        return self.streams[-1]

    async def services(self) -> dict[str, Service]:
        """Tell the services."""
        self._note("services")
        return dict(self.service_list)

    async def nodes(self) -> dict[str, Node]:
        """Tell the nodes."""
        self._note("nodes")
        return dict(self.node_list)

    async def wanted_tasks(self) -> dict[str, Task]:
        """Tell the tasks that shall run."""
        self._note("wanted")
        return {key: one for key, one in self.tasks.items() if one.is_wanted}

    async def all_tasks(self) -> dict[str, Task]:
        """Tell all tasks."""
        self._note("all")
        return dict(self.tasks)

    async def tasks_of(self, ids: Collection[str]) -> dict[str, Task]:
        """Tell some tasks."""
        self._note("some")
        return {key: one for key, one in self.tasks.items() if key in ids}

    def _note(self, what: str) -> None:
        self.asked[what] += 1
        news, self._news = self._news, asyncio.Event()
        news.set()
        if self.is_lost:
            raise DockerUnavailableError("the manager does not answer")

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once the condition holds; it is looked at with every question."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition():
                await self._news.wait()
