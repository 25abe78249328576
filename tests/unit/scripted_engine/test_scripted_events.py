"""The event stream of the scripted engine, read by docker-py."""

from __future__ import annotations

import asyncio

import docker
import pytest
from tests.scripted_engine import ScriptedEngine
from tests.unit.scripted_engine.streams import Events, Filters, actions, take


# docker-py does not close the sockets of answers that broke.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


async def test_run_stop_and_remove_emit_in_the_real_order(
    engine: ScriptedEngine, events: Events
) -> None:
    """create, connect, start; kill, die, disconnect, stop; destroy."""
    stream = await events()
    engine.run("web-1")
    engine.stop("web-1")
    engine.remove("web-1")

    assert actions(await take(stream, 8)) == [
        "container create",
        "network connect",
        "container start",
        "container kill",
        "container die",
        "network disconnect",
        "container stop",
        "container destroy",
    ]


async def test_forced_removal_emits_a_kill(
    engine: ScriptedEngine, events: Events
) -> None:
    """``rm -f`` of a running container: kill with 9, die with 137, disconnect, destroy."""
    made = engine.run("web-1")
    stream = await events()
    engine.remove("web-1")

    seen = await take(stream, 4)

    assert actions(seen)[::3] == ["container kill", "container destroy"]
    assert seen[0]["Actor"]["Attributes"]["signal"] == "9"
    assert seen[1]["Actor"]["Attributes"]["exitCode"] == "137"
    assert seen[2]["Actor"]["Attributes"]["container"] == made.id


async def test_event_has_the_real_fields(
    engine: ScriptedEngine, events: Events
) -> None:
    """Both the old and the new spelling of the fields, and labels among the attributes."""
    stream = await events()
    made = engine.run("web-1", labels={"haproxy.port": "8000"})

    create, connect, start = await take(stream, 3)

    assert start["status"] == start["Action"] == "start"
    assert start["id"] == start["Actor"]["ID"] == made.id
    assert start["from"] == made.image
    assert start["Actor"]["Attributes"] == {
        "haproxy.port": "8000",
        "image": made.image,
        "name": "web-1",
    }
    assert create["timeNano"] < connect["timeNano"] < start["timeNano"]
    assert start["time"] == start["timeNano"] // 1_000_000_000
    assert "status" not in connect
    assert connect["Actor"]["ID"] == engine.networks["demo_default"].id
    assert connect["Actor"]["Attributes"] == {
        "container": made.id,
        "name": "demo_default",
        "type": "bridge",
    }


async def test_the_other_verbs_emit_their_events(
    engine: ScriptedEngine, events: Events
) -> None:
    """Pause, health, rename, networks, restart: one event each, or the real several."""
    engine.run("web-1", health="starting")
    stream = await events()
    engine.health("web-1", "healthy")
    engine.pause("web-1")
    engine.unpause("web-1")
    engine.rename("web-1", "web-2")
    engine.signal("web-2", 1)
    engine.connect("web-2", "other")
    engine.disconnect("web-2", "other")
    engine.restart("web-2")

    assert actions(await take(stream, 15)) == [
        "container health_status: healthy",
        "container pause",
        "container unpause",
        "container rename",
        "container kill",
        "network connect",
        "network disconnect",
        "network disconnect",
        "container kill",
        "container die",
        "network disconnect",
        "container stop",
        "network connect",
        "container start",
        "container restart",
    ]


async def test_since_replays_the_past_once(
    engine: ScriptedEngine, events: Events
) -> None:
    """``since`` gives what happened from that nanosecond on, then what happens now."""
    engine.run("web-1")
    engine.run("web-2")
    first_start = next(each for each in engine.events.emitted if each.action == "start")
    seconds, nanos = divmod(first_start.time_nano, 1_000_000_000)

    stream = await events(since=f"{seconds}.{nanos:09d}")
    engine.pause("web-1")

    assert actions(await take(stream, 5)) == [
        "container start",
        "container create",
        "network connect",
        "container start",
        "container pause",
    ]


async def test_replay_is_bounded_and_ends_at_until(
    engine: ScriptedEngine, client: docker.APIClient
) -> None:
    """Only the last 256 events are kept; a stream whose ``until`` is past ends by itself."""
    engine.run_many(100)
    until = engine.events.emitted[-1].time_nano // 1_000_000_000 + 1

    seen = await asyncio.to_thread(
        lambda: list(client.events(since=1, until=until, decode=True))
    )

    assert len(seen) == 256
    assert seen[-1]["Actor"]["Attributes"]["name"] == "web-100"


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        pytest.param(
            {"type": "network"}, ["network connect", "network disconnect"], id="type"
        ),
        pytest.param({"event": ["start", "die"]}, ["container start", "container die"]),
        pytest.param(
            {"event": ["health_status", "die"]},
            ["container health_status: healthy", "container die"],
            id="health-status-is-a-prefix",
        ),
        pytest.param(
            {"event": "health_status: healthy"},
            ["container health_status: healthy"],
            id="health-status-in-full",
        ),
    ],
)
async def test_events_are_filtered_by_the_engine(
    engine: ScriptedEngine,
    events: Events,
    filters: Filters,
    expected: list[str],
) -> None:
    """Type and event filters, with ``health_status`` matching whatever the verdict."""
    stream = await events(filters=filters)
    engine.run("web-1", health="starting")
    engine.health("web-1", "healthy")
    engine.stop("web-1")

    assert actions(await take(stream, len(expected))) == expected


async def test_ended_stream_is_a_normal_end(
    engine: ScriptedEngine, events: Events
) -> None:
    """docker-py cannot tell: the loop over the events simply ends, cleanly or cut."""
    for is_clean in (True, False):
        stream = await events()
        engine.events.end(is_clean=is_clean)

        assert await take(stream, 1) == []


async def test_a_cut_event_stream_ends_at_once(
    engine: ScriptedEngine, client: docker.APIClient
) -> None:
    """The fault hits the stream that is being opened, and the next one lives."""
    engine.faults.cut("/events")

    seen = await asyncio.to_thread(lambda: list(client.events(decode=True)))

    assert seen == []
    assert engine.requests.routes["/events"] == 1


async def test_a_health_probe_is_three_events(
    engine: ScriptedEngine, events: Events
) -> None:
    """The engine's own noise: a client that asked for starts is spared it."""
    engine.run("web-1")
    everything, starts = await events(), await events(filters={"event": ["start"]})
    engine.probe("web-1")
    engine.restarting("web-1")
    engine.begin("web-1")

    assert actions(await take(everything, 4)) == [
        "container exec_create: /bin/true",
        "container exec_start: /bin/true",
        "container exec_die",
        "container die",
    ]
    assert actions(await take(starts, 1)) == ["container start"]


async def test_lost_doubled_and_reordered_events(
    engine: ScriptedEngine, events: Events
) -> None:
    """The stream can lose, repeat and reverse events; the buffer still has each once."""
    engine.run("web-1")
    stream = await events()
    engine.events.drop(1)
    engine.pause("web-1")
    engine.events.double(1)
    engine.unpause("web-1")
    engine.events.hold()
    engine.pause("web-1")
    engine.rename("web-1", "web-2")
    engine.events.release(is_reversed=True)

    assert actions(await take(stream, 4)) == [
        "container unpause",
        "container unpause",
        "container rename",
        "container pause",
    ]
    assert [each.action for each in engine.events.emitted][-4:] == [
        "pause",
        "unpause",
        "pause",
        "rename",
    ]


async def test_stalled_stream_catches_up(
    engine: ScriptedEngine, events: Events
) -> None:
    """A stalled stream stays open and silent, and delivers everything when resumed."""
    engine.run("web-1")
    stream = await events()
    engine.events.stall()
    engine.pause("web-1")
    waiting = asyncio.create_task(take(stream, 1))
    await asyncio.sleep(0.05)

    assert not waiting.done()

    engine.events.resume()

    assert actions(await waiting) == ["container pause"]


async def test_restarted_engine_ends_streams_and_forgets_events(
    engine: ScriptedEngine, client: docker.APIClient, events: Events
) -> None:
    """A restart ends each stream; afterwards the containers are there, the past is not."""
    engine.run("web-1")
    stream = await events()

    await engine.restart_engine()

    assert await take(stream, 1) == []
    assert len(await asyncio.to_thread(client.containers)) == 1
    again = await events(since=1)
    engine.pause("web-1")
    assert actions(await take(again, 1)) == ["container pause"]
