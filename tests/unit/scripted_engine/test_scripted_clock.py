"""The scripted engine's clock, and what jumps with it; events that come again."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

import docker
import pytest
from tests.scripted_engine import ScriptedEngine
from tests.unit.scripted_engine.streams import Events, actions, take


# docker-py does not close the sockets of answers that broke.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

HOUR = 3600.0


def seconds_of(text: str) -> float:
    """Return the Unix seconds of a time as the engine spells it."""
    return datetime.fromisoformat(text[:19] + "+00:00").timestamp()


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
async def test_everything_jumps_with_the_clock(
    engine: ScriptedEngine, client: docker.APIClient, jump: float
) -> None:
    """The engine's time, a container's stamps and an event's stamp."""
    engine.jump_clock(jump)
    made = engine.run("web-1")
    told = await asyncio.to_thread(client.info)
    shown = await asyncio.to_thread(client.inspect_container, made.id)

    there = time.time() + jump
    for moment in (
        seconds_of(told["SystemTime"]),
        seconds_of(shown["Created"]),
        seconds_of(shown["State"]["StartedAt"]),
        engine.events.emitted[-1].time_nano / 1e9,
    ):
        assert abs(moment - there) < 5


async def test_stamps_increase_but_for_a_jump_back(engine: ScriptedEngine) -> None:
    """Two events never share a time; after a jump back the later one is the older."""
    engine.run_many(3)
    before = [event.time_nano for event in engine.events.emitted]
    engine.jump_clock(-HOUR)
    engine.pause("web-1")

    assert before == sorted(set(before))
    assert engine.events.emitted[-1].time_nano < before[0]


async def test_until_is_a_time_of_the_engines_clock(
    engine: ScriptedEngine, client: docker.APIClient
) -> None:
    """A stream that ends at a time ends when the engine's clock says so."""
    engine.jump_clock(HOUR)
    engine.run("web-1")

    seen = await asyncio.to_thread(
        lambda: list(
            client.events(since=1, until=int(time.time() + HOUR / 2), decode=True)
        )
    )

    assert seen == []


async def test_events_come_again_as_old_as_they_are(
    engine: ScriptedEngine, events: Events
) -> None:
    """What was delivered before is delivered once more, and remembered only once."""
    engine.run("web-1")
    stream = await events()
    engine.pause("web-1")
    engine.unpause("web-1")
    engine.events.repeat(2)

    seen = await take(stream, 4)

    assert actions(seen) == [*["container pause", "container unpause"] * 2]
    assert [one["timeNano"] for one in seen[:2]] == [
        one["timeNano"] for one in seen[2:]
    ]
    assert [event.action for event in engine.events.emitted][-2:] == [
        "pause",
        "unpause",
    ]


async def test_a_log_that_behaves_again_has_no_fault_left(
    engine: ScriptedEngine, events: Events
) -> None:
    """What was held comes, and the next event is neither lost, doubled nor held."""
    engine.run("web-1")
    stream = await events()
    engine.events.double(9)
    engine.events.hold()
    engine.pause("web-1")
    engine.events.behave()
    engine.events.drop(9)
    engine.events.behave()
    engine.events.stall()
    engine.events.behave()
    engine.unpause("web-1")
    engine.rename("web-1", "web-2")

    assert actions(await take(stream, 3)) == [
        "container pause",
        "container unpause",
        "container rename",
    ]
