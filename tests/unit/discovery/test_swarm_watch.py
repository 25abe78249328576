"""Following a swarm: what is read when, what is told, and nothing removed on ignorance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
from tests.fakes.swarm import HERE, service, task, view
from tests.fakes.swarm_api import FakeSwarmApi

from reconciler.core.swarm import Phase, SwarmView
from reconciler.discovery import swarm_watch
from reconciler.discovery.swarm_json import Role, SwarmEvent
from reconciler.discovery.swarm_watch import SwarmWatcher


MANAGER = Role(state="active", is_manager=True, node_id=HERE)
EVENT = SwarmEvent(kind="service", action="update")


class Recorder:
    """Whoever is told of a swarm."""

    def __init__(self) -> None:
        self.views: list[SwarmView] = []
        self.losses: list[str] = []
        self.offs = 0
        self._news = asyncio.Event()

    def swarm_read(self, view: SwarmView) -> None:
        """Remember it."""
        self.views.append(view)
        self._tell()

    def swarm_lost(self, reason: str) -> None:
        """Remember why."""
        self.losses.append(reason)
        self._tell()

    def swarm_off(self) -> None:
        """Count it."""
        self.offs += 1
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    @property
    def tasks(self) -> list[str]:
        """The tasks of the last reading."""
        return sorted(self.views[-1].tasks) if self.views else []

    async def until_tasks(self, *ids: str) -> None:
        """Return once exactly these tasks are told."""
        async with asyncio.timeout(10):
            while self.tasks != sorted(ids):
                await self._news.wait()

    async def until_lost(self) -> None:
        """Return once a loss was told."""
        async with asyncio.timeout(10):
            while not self.losses:
                await self._news.wait()

    async def until_off(self) -> None:
        """Return once it was told that there is no swarm."""
        async with asyncio.timeout(10):
            while not self.offs:
                await self._news.wait()


@asynccontextmanager
async def watching(
    api: FakeSwarmApi, *, is_wanted: bool = False, resync_seconds: float = 30.0
) -> AsyncIterator[tuple[SwarmWatcher, Recorder]]:
    """Follow a swarm for the length of a block."""
    told = Recorder()
    watcher = SwarmWatcher(
        api,  # type: ignore[arg-type] # it answers the same
        told,
        is_wanted=is_wanted,
        resync_seconds=resync_seconds,
    )
    running = asyncio.create_task(watcher.run())
    try:
        yield watcher, told
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a reading at rest be a long way off, so that only hints can cause one."""
    monkeypatch.setattr(swarm_watch, "QUIET_PAUSE_SECONDS", 60.0)
    monkeypatch.setattr(swarm_watch, "LONGEST_PAUSE_SECONDS", 60.0)
    monkeypatch.setattr(swarm_watch, "BUSY_PAUSE_SECONDS", 0.005)
    monkeypatch.setattr(swarm_watch, "BUSY_SECONDS", 0.05)


async def settled(api: FakeSwarmApi) -> None:
    """Return once nobody is asked any more."""
    await api.until(lambda: bool(api.streams))
    while True:
        before = api.asked.total()
        await asyncio.sleep(0.1)
        if api.asked.total() == before:
            return


async def test_it_reads_everything_then_follows() -> None:
    """The first reading has those too that are about to end; it is told as one."""
    api = FakeSwarmApi(
        view([task(1), task(2, is_wanted=False), task(3, phase=Phase.ENDED)]), MANAGER
    )
    async with watching(api) as (_, told):
        await told.until_tasks("task-1", "task-2", "task-3")
        first = told.views[0]
    assert first.own_node == HERE
    assert list(first.services) == ["id-of-web"]
    assert api.asked["all"] == 1


async def test_an_event_leads_to_a_reading() -> None:
    """A new task of a service that was scaled up is told soon after its service's event."""
    api = FakeSwarmApi(view([task(1)]), MANAGER)
    async with watching(api) as (_, told):
        await settled(api)
        api.tasks["task-2"] = task(2)
        api.streams[0].send(EVENT)
        await told.until_tasks("task-1", "task-2")


async def test_a_hint_leads_to_a_reading() -> None:
    """What happens to a container of a task here is as good as an event."""
    api = FakeSwarmApi(view([task(1)]), MANAGER)
    async with watching(api) as (watcher, told):
        await settled(api)
        services = api.asked["services"]
        del api.tasks["task-1"]
        watcher.hint()
        await told.until_tasks()
    assert api.asked["services"] == services


async def test_at_rest_nobody_is_asked() -> None:
    """Once all is as it was for a while the next reading is a second off, a minute here."""
    api = FakeSwarmApi(view([task(1)]), MANAGER)
    async with watching(api):
        await settled(api)


async def test_who_is_to_end_is_asked_for_until_it_has() -> None:
    """It vanishes from those that shall run seconds before it ends."""
    api = FakeSwarmApi(view([task(1), task(2)]), MANAGER)
    async with watching(api) as (_, told):
        await settled(api)
        api.tasks["task-2"] = task(2, is_wanted=False)
        api.streams[0].send(EVENT)
        await api.until(lambda: api.asked["some"] > 0)
        await told.until_tasks("task-1", "task-2")
        assert told.views[-1].tasks["task-2"].is_wanted is False
        api.tasks["task-2"] = replace(task(2, is_wanted=False), phase=Phase.ENDED)
        api.streams[0].send(EVENT)
        await told.until_tasks("task-1")


async def test_a_removed_service_is_known_while_it_has_tasks() -> None:
    """Else nobody could say any more what the tasks are that are about to end."""
    api = FakeSwarmApi(view([task(1)]), MANAGER)
    async with watching(api) as (_, told):
        await settled(api)
        api.service_list.clear()
        api.tasks["task-1"] = task(1, is_wanted=False)
        api.streams[0].send(EVENT)
        await api.until(lambda: api.asked["some"] > 0)
        await settled(api)
        assert list(told.views[-1].services) == ["id-of-web"]
        del api.tasks["task-1"]
        api.streams[0].send(EVENT)
        await told.until_tasks()
        await settled(api)
    assert told.views[-1].services == {}


async def test_a_task_of_a_new_service_has_its_service_read() -> None:
    """Its event may come later, or never."""
    api = FakeSwarmApi(view([task(1)]), MANAGER)
    async with watching(api) as (watcher, told):
        await settled(api)
        api.service_list["id-of-api"] = service("api")
        api.tasks["task-2"] = task(2, service="api")
        watcher.hint()
        await told.until_tasks("task-1", "task-2")
        assert "id-of-api" in told.views[-1].services


async def test_a_manager_that_does_not_answer_changes_nothing() -> None:
    """It is told, tried again, and the first reading afterwards counts."""
    api = FakeSwarmApi(view([task(1)]), MANAGER)
    async with watching(api) as (_, told):
        await settled(api)
        readings = len(told.views)
        api.is_lost = True
        api.tasks.clear()
        api.streams[0].send(EVENT)
        await told.until_lost()
        assert len(told.views) == readings
        api.is_lost = False
        await told.until_tasks()
    assert told.losses[0] == "the manager does not answer"


async def test_the_end_of_its_events_is_no_loss() -> None:
    """It subscribes and reads again."""
    api = FakeSwarmApi(view([task(1)]), MANAGER)
    async with watching(api) as (_, told):
        await settled(api)
        api.streams[0].send(None)
        await api.until(lambda: len(api.streams) > 1)
        await settled(api)
    assert told.losses == []
    assert api.asked["all"] == 2


async def test_an_engine_in_no_swarm_is_asked_again_later() -> None:
    """It may be joined while the daemon runs."""
    api = FakeSwarmApi(view([task(1)]), Role())
    async with watching(api, resync_seconds=0.02) as (_, told):
        await told.until_off()
        assert told.views == []
        api.role_told = MANAGER
        await told.until_tasks("task-1")


async def test_an_engine_that_has_to_be_a_manager_and_is_none() -> None:
    """With --swarm on that is an error, and nothing counts as read."""
    api = FakeSwarmApi(view([task(1)]), Role(state="active"))
    async with watching(api, is_wanted=True) as (_, told):
        await told.until_lost()
    assert (told.offs, told.views) == (0, [])
    assert "is a worker" in told.losses[0]


async def test_a_manager_that_is_none_any_more_is_a_loss() -> None:
    """The tasks may well run on: the other managers know, and this one does not."""
    api = FakeSwarmApi(view([task(1)]), MANAGER)
    async with watching(api) as (_, told):
        await settled(api)
        api.role_told = Role(state="active")
        api.streams[0].send(None)
        await told.until_lost()
        assert told.tasks == ["task-1"]
    assert told.offs == 0
