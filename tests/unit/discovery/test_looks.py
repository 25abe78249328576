"""Many starts at once: few requests, nobody is forgotten, and nobody is kept twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.fakes.sink import RecordingSink
from tests.scripted_engine import ScriptedContainer, ScriptedEngine, routes
from tests.scripted_engine.control import Control
from tests.scripted_engine.wire import Answer, Request
from tests.unit.discovery.conftest import watching

from reconciler.discovery.catalog import Catalog
from reconciler.discovery.engine import Engine
from reconciler.discovery.looks import MOST_LOOKERS, Looks, Told


WEB = {
    "com.docker.compose.project": "demo",
    "com.docker.compose.service": "web",
    "com.docker.compose.container-number": "1",
}


@asynccontextmanager
async def until_seen(
    scripted: ScriptedEngine, one: ScriptedContainer
) -> AsyncIterator[tuple[Looks, asyncio.TaskGroup]]:
    """Give what looks, and its tasks; wait at the end until a container was looked at."""
    engine, found = Engine(scripted.url), asyncio.Event()
    told = Told(
        judge=lambda _: {},
        changed=lambda changes, _: found.set() if one.id in changes else None,
        listed=lambda: None,
        failed=lambda _: None,
    )
    looks = Looks(engine, Catalog(), told)
    try:
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            yield looks, tasks
            await found.wait()
    finally:
        await engine.aclose()


async def test_a_burst_of_starts_is_read_by_a_few_lists(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """A thousand containers cost some requests, not a thousand."""
    scripted.requests.reset()
    names = [f"web-{number}" for number in range(1000)]
    for name in names:
        scripted.run(name, labels=WEB)
    await sink.until_names(*names)

    # What is learned afterwards, one by one, is not waited for by anybody.
    assert scripted.requests.lists <= 20
    assert scripted.requests.inspects <= 50


async def test_whoever_a_list_does_not_have_yet_is_inspected(
    scripted: ScriptedEngine,
    sink: RecordingSink,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An engine may list a container a moment after it told of its start."""
    listed = routes._ROUTES["/containers/json"]

    def late(control: Control, request: Request) -> Answer:
        answer = listed(control, request)
        if "filters" not in request.query:
            return answer
        return Answer.json(json.loads(answer.body)[::2])

    monkeypatch.setitem(routes._ROUTES, "/containers/json", late)
    names = [f"web-{number}" for number in range(60)]
    for name in names:
        scripted.run(name, labels=WEB)

    await sink.until_names(*names)


async def test_a_list_that_fails_in_a_burst_loses_nobody(
    scripted: ScriptedEngine,
) -> None:
    """A whole list is asked for instead."""
    async with watching(scripted.url) as sink:
        await sink.until(lambda: sink.lists == 1, "the first list")
        scripted.faults.fail("/containers/json", count=2)
        names = [f"web-{number}" for number in range(60)]
        for name in names:
            scripted.run(name, labels=WEB)
        await sink.until_names(*names)

    assert len(sink.known) == 60


async def test_a_container_that_dies_in_a_burst_stays_away(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """Its end is an event of its own: no answer from before brings it back."""
    names = [f"web-{number}" for number in range(60)]
    made = [scripted.run(name, labels=WEB) for name in names]
    for one in made[::3]:
        scripted.kill(one)
    alive = [one.name for number, one in enumerate(made) if number % 3]

    await sink.until_names(*alive)


async def test_a_list_that_does_not_show_an_end_yet_brings_nobody_back(
    scripted: ScriptedEngine,
    sink: RecordingSink,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its end was told by its own event: only an inspect may say otherwise."""
    one, two = scripted.run("web-1", labels=WEB), scripted.run("web-2", labels=WEB)
    await sink.until_names("web-1", "web-2")
    listed = routes._ROUTES["/containers/json"]
    before = listed(scripted, Request("GET", "/containers/json", {}))

    def stale(control: Control, request: Request) -> Answer:
        return before if "filters" in request.query else listed(control, request)

    monkeypatch.setitem(routes._ROUTES, "/containers/json", stale)
    scripted.requests.reset()
    scripted.kill(one)
    await sink.until_names("web-2")
    await scripted.requests.seen("/containers/json")
    await scripted.requests.seen("/containers/{id}/json", 1)
    scripted.run("web-3", labels=WEB)
    await sink.until_names("web-2", "web-3")

    assert two.name in sink.names


async def test_whoever_is_removed_is_not_looked_at_any_more(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """A thousand that end at once, before it is known how they stop, cost no thousand looks."""
    many = scripted.run_many(1000, labels=WEB)
    names = [one.name for one in many]
    await sink.until_names(*names)
    scripted.requests.reset()
    for one in many:
        scripted.remove(one)
    await sink.until_names()
    scripted.run("web-last", labels=WEB)
    await sink.until_names("web-last")

    assert scripted.requests.inspects < 500


async def test_lookers_that_were_stopped_before_they_began_leave_their_places(
    scripted: ScriptedEngine,
) -> None:
    """A stream may end in the moment of a start, again and again."""
    one = scripted.run("web-1", labels=WEB)
    async with until_seen(scripted, one) as (looks, tasks):
        for _ in range(3):
            for number in range(MOST_LOOKERS):
                looks.want(f"{number}", None, tasks)
            looks.stop()
            await asyncio.sleep(0)
        looks.want(one.id, None, tasks)


async def test_who_begins_while_ends_are_confirmed_is_looked_at(
    scripted: ScriptedEngine,
) -> None:
    """A start that was taken at its word is looked at soon, also behind a list that waits."""
    one, two = scripted.run("web-1", labels=WEB), scripted.run("web-2", labels=WEB)
    scripted.die(one)
    lists = scripted.requests.lists
    async with until_seen(scripted, two) as (looks, tasks):
        scripted.faults.delay("/containers/json", seconds=0.2)
        looks.confirm_end(one.id, tasks)
        await scripted.requests.seen("/containers/json", lists + 1)
        looks.confirm_start(two.id, tasks)


async def test_many_starts_do_not_wait_for_inspects_of_others(
    scripted: ScriptedEngine,
) -> None:
    """One list of them goes first: else they would wait for as long as others come."""
    old = scripted.run_many(60, prefix="old", labels=WEB)
    scripted.faults.delay("/containers/*/json", seconds=0.02, count=None)
    async with watching(scripted.url) as sink:
        await sink.until(lambda: sink.lists == 1, "the first list")
        for one in old:
            scripted.signal(one)  # how it stops is not known: that takes an inspect
        names = [f"web-{number}" for number in range(20)]
        for name in names:
            scripted.run(name, labels=WEB)
        await sink.until_names(*(one.name for one in old), *names)
        inspects = scripted.requests.inspects

    assert inspects < 60
