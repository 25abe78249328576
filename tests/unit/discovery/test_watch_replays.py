"""Stop signals that the engine remembers: a watcher that begins, or comes back, mid-stop."""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.fakes.sink import RecordingSink
from tests.scripted_engine import ScriptedEngine
from tests.scripted_engine.model import ScriptedContainer
from tests.unit.discovery.conftest import watching


pytestmark = pytest.mark.filterwarnings(
    # docker-py leaves the sockets of broken answers to the garbage collector.
    "ignore::pytest.PytestUnraisableExceptionWarning"
)

WEB = {
    "com.docker.compose.project": "demo",
    "com.docker.compose.service": "web",
    "com.docker.compose.container-number": "1",
}


def _emit_ago(
    scripted: ScriptedEngine,
    one: ScriptedContainer,
    *story: tuple[float, str],
) -> None:
    """Write a container's past into the engine's memory: seconds ago, and what it was."""
    for seconds, action in story:
        more = {"signal": "15"} if action == "kill" else {}
        event = scripted.events.emit("container", action, one.id, more, image=one.image)
        stamped = time.time_ns() - int(seconds * 1e9)
        object.__setattr__(event, "time_nano", stamped)


def _flags(sink: RecordingSink, one: ScriptedContainer) -> list[bool | None]:
    """Return what was told of a container, in order: whether it stops, None for gone."""
    told = [changes[one.id] for changes, _ in sink.changes if one.id in changes]
    return [None if found is None else found.is_stopping for found in told]


async def test_a_watcher_that_begins_in_the_middle_of_a_stop_knows(
    scripted: ScriptedEngine,
) -> None:
    """The signal was sent before the subscription; one inspect tells what it meant."""
    one = scripted.run("web-1", labels=WEB, stop_timeout=60)
    two = scripted.run("web-2", labels=WEB)
    scripted.events.forget()
    _emit_ago(scripted, one, (20, "kill"))
    async with watching(scripted.url) as sink:
        await sink.until(lambda: True in _flags(sink, one), "web-1 stops")

        assert True not in _flags(sink, two)


async def test_what_is_left_of_the_stop_timeout_counts(
    scripted: ScriptedEngine,
) -> None:
    """A stop that was sent a while ago is over that much earlier."""
    one = scripted.run("web-1", labels=WEB, stop_timeout=20)
    scripted.events.forget()
    _emit_ago(scripted, one, (19.5, "kill"))
    async with watching(scripted.url) as sink:
        await sink.until(lambda: True in _flags(sink, one), "web-1 stops")
        await sink.until(lambda: _flags(sink, one)[-1] is False, "web-1 runs on")


async def test_a_stop_that_was_outlived_long_ago_is_none(
    scripted: ScriptedEngine,
) -> None:
    """The signal is older than the stop time-out."""
    one = scripted.run("web-1", labels=WEB)
    scripted.events.forget()
    _emit_ago(scripted, one, (60, "kill"))
    async with watching(scripted.url) as sink:
        await sink.until_names("web-1")
        await _inspected(scripted, 1)
        await _turned(scripted, sink)

        assert True not in _flags(sink, one)


async def test_a_stop_that_a_start_followed_is_none(scripted: ScriptedEngine) -> None:
    """The signal was of an earlier life, and is never acted upon."""
    one = scripted.run("web-1", labels=WEB, stop_timeout=60)
    scripted.events.forget()
    _emit_ago(scripted, one, (9, "kill"), (8, "die"), (7, "start"))
    async with watching(scripted.url) as sink:
        await sink.until_names("web-1")
        await _inspected(scripted, 1)
        await _turned(scripted, sink)

        assert True not in _flags(sink, one)


async def test_a_replay_of_earlier_lives_does_not_take_a_stop_back(
    scripted: ScriptedEngine,
) -> None:
    """Subscribed anew in the middle of a stop, it stays out: no moment in rotation."""
    one = scripted.run("web-1", labels=WEB, stop_timeout=60)
    scripted.events.forget()
    _emit_ago(scripted, one, (90, "kill"), (89, "die"), (88, "start"), (9, "kill"))
    async with watching(scripted.url) as sink:
        await sink.until(lambda: True in _flags(sink, one), "web-1 stops")
        seen, lists = len(_flags(sink, one)), sink.lists
        scripted.faults.delay("/containers/json", seconds=0.3)
        scripted.events.end()
        await sink.until(lambda: sink.lists > lists, "a list")
        await _turned(scripted, sink)

        assert _flags(sink, one)[seen:] == []


async def test_only_news_is_heard_for_the_metrics(scripted: ScriptedEngine) -> None:
    """A replay would count again, at each subscription, what has been counted."""
    one = scripted.run("web-1", labels=WEB, stop_timeout=60)
    scripted.events.forget()
    _emit_ago(scripted, one, (90, "kill"), (89, "die"), (88, "start"))
    async with watching(scripted.url) as sink:
        await sink.until(lambda: sink.lists >= 1, "a list")
        await _turned(scripted, sink)
        replayed = {"kill", "die"} & set(sink.heard_actions)
        scripted.kill(one)
        await sink.until(lambda: "die" in sink.heard_actions, "its end")

        assert replayed == set()


async def test_a_death_that_is_replayed_does_not_put_it_back_before_it_is_removed(
    scripted: ScriptedEngine,
) -> None:
    """It died while nobody listened: out of rotation, then gone, and nothing between."""
    one = scripted.run("web-1", labels=WEB, stop_timeout=60)
    scripted.events.forget()
    _emit_ago(scripted, one, (9, "kill"))
    async with watching(scripted.url) as sink:
        await sink.until(lambda: True in _flags(sink, one), "web-1 stops")
        seen = len(_flags(sink, one))
        scripted.events.drop(100)
        one.state = "exited"
        _emit_ago(scripted, one, (5, "die"))
        scripted.events.drop(-scripted.events._to_drop)
        scripted.faults.delay("/containers/json", seconds=0.3)
        scripted.events.end()
        await sink.until_names()

        assert _flags(sink, one)[seen:] == [None]


@pytest.mark.parametrize("seconds", [-0.5, -1.5, -40.0])
async def test_an_end_from_before_the_clock_was_set_back_is_of_an_earlier_life(
    scripted: ScriptedEngine, seconds: float
) -> None:
    """Replayed, it is stamped later than now; whoever began anew since stays where it is."""
    one = scripted.run("web-1", labels=WEB)
    scripted.die(one)
    scripted.begin(one)
    scripted.jump_clock(seconds)
    async with watching(scripted.url) as sink:
        await sink.until(lambda: sink.lists == 1, "a list")
        await _inspected(scripted, 1)
        lists = sink.lists
        scripted.events.end()
        await sink.until(lambda: sink.lists > lists, "another list")
        await _turned(scripted, sink)

        assert sink.removed == []


async def test_a_restart_told_backwards_by_a_clock_set_forward_stops_nobody(
    scripted: ScriptedEngine,
) -> None:
    """News that look like a replay are suspected all the same: nothing follows the signal."""
    one = scripted.run("web-1", labels=WEB, stop_timeout=60)
    scripted.events.forget()
    async with watching(scripted.url) as sink:
        await sink.until(lambda: sink.lists == 1, "a list")
        await _inspected(scripted, 1)
        scripted.jump_clock(3600.0)
        scripted.events.hold()
        scripted.restart(one)
        scripted.events.release(is_reversed=True)
        await sink.until(lambda: True in _flags(sink, one), "the signal is heard")
        await sink.until(lambda: _flags(sink, one)[-1] is False, "web-1 runs on")


@pytest.mark.parametrize("is_news", [False, True])
async def test_who_began_anew_while_the_engine_was_away_is_not_stopping(
    scripted: ScriptedEngine, *, is_news: bool
) -> None:
    """The engine forgot everything; an inspect tells that it is another life.

    Also one that an event led to, before anybody asked for the past.
    """
    one = scripted.run("web-1", labels=WEB, stop_timeout=600)
    two = scripted.run("web-2", labels=WEB, stop_timeout=600)
    async with watching(scripted.url) as sink:
        await sink.until_names("web-1", "web-2")
        scripted.signal(one)
        scripted.signal(two)
        await sink.until(lambda: True in _flags(sink, one), "web-1 stops")
        await sink.until(lambda: True in _flags(sink, two), "web-2 stops")

        await scripted.close()
        scripted.restart(one)
        scripted.events.forget()
        streams = scripted.requests.routes["/events"]
        await scripted.start()
        if is_news:
            await scripted.requests.seen("/events", streams + 1)
            scripted.connect(one, "front")
        await sink.until(lambda: _flags(sink, one)[-1] is False, "web-1 goes on")

        assert _flags(sink, two)[-1] is True


async def test_a_mark_without_a_signal_is_taken_back_by_the_list(
    scripted: ScriptedEngine,
) -> None:
    """It died and started again while nobody listened: in rotation after the list."""
    one = scripted.run("web-1", labels=WEB, stop_timeout=60)
    scripted.events.forget()
    _emit_ago(scripted, one, (9, "kill"))
    async with watching(scripted.url) as sink:
        await sink.until(lambda: True in _flags(sink, one), "web-1 stops")
        scripted.events.drop(100)
        _emit_ago(scripted, one, (5, "die"), (4, "start"))
        scripted.events.drop(-scripted.events._to_drop)
        scripted.events.end()

        await sink.until(lambda: _flags(sink, one)[-1] is False, "web-1 runs on")


async def test_a_signal_that_nobody_heard_is_judged_with_a_slow_list(
    scripted: ScriptedEngine,
) -> None:
    """Replayed long before the list is there: it counts once the list is."""
    one = scripted.run("web-1", labels=WEB, stop_timeout=60)
    scripted.events.forget()
    async with watching(scripted.url) as sink:
        await sink.until_names("web-1")
        await _inspected(scripted, 1)
        await _turned(scripted, sink)
        lists = sink.lists
        scripted.events.drop(1)
        _emit_ago(scripted, one, (9, "kill"))
        scripted.faults.delay("/containers/json", seconds=0.4)
        scripted.events.end()
        await sink.until(lambda: sink.lists > lists, "a list")

        assert _flags(sink, one)[-1] is True


async def test_a_signal_in_the_first_second_is_acted_upon(
    scripted: ScriptedEngine,
) -> None:
    """However soon after the subscription it comes, it counts at once."""
    one = scripted.run("web-1", labels=WEB)
    scripted.events.forget()
    async with watching(scripted.url) as sink:
        await sink.until_names("web-1")
        await _inspected(scripted, 1)
        await _turned(scripted, sink)

        scripted.signal(one)
        await sink.until(lambda: True in _flags(sink, one), "web-1 stops")


async def test_a_replay_that_comes_after_the_list_is_acted_upon(
    scripted: ScriptedEngine,
) -> None:
    """The list may be quicker than a long memory: the signal is not lost until a resync."""
    one = scripted.run("web-1", labels=WEB, stop_timeout=60)
    scripted.events.forget()
    async with watching(scripted.url) as sink:
        await sink.until(lambda: sink.lists == 1, "a list")
        await _inspected(scripted, 1)
        await _turned(scripted, sink)
        _send_late(scripted, one, (9, "kill"))

        await sink.until(lambda: True in _flags(sink, one), "web-1 stops")


async def test_a_replay_that_comes_after_the_list_is_judged_as_a_whole(
    scripted: ScriptedEngine,
) -> None:
    """An earlier life that ends in the same breath puts nobody out."""
    one = scripted.run("web-1", labels=WEB, stop_timeout=60)
    scripted.events.forget()
    async with watching(scripted.url) as sink:
        await sink.until(lambda: sink.lists == 1, "a list")
        await _inspected(scripted, 1)
        await _turned(scripted, sink)
        _send_late(scripted, one, (9, "kill"), (8, "die"), (7, "start"))
        await asyncio.sleep(0.3)

        assert True not in _flags(sink, one)
        assert sink.removed == []


def _send_late(
    scripted: ScriptedEngine, one: ScriptedContainer, *story: tuple[float, str]
) -> None:
    """Deliver past events on the open streams, as a slow replay does."""
    scripted.events.hold()
    _emit_ago(scripted, one, *story)
    scripted.events.release()


async def _inspected(scripted: ScriptedEngine, count: int) -> None:
    """Return once so many inspects were asked for."""
    async with asyncio.timeout(10):
        while scripted.requests.inspects < count:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.005)


async def _turned(scripted: ScriptedEngine, sink: RecordingSink) -> None:
    """Return once whatever was asked and sent before has been taken in."""
    name = f"marker-{time.monotonic_ns()}"
    marker = scripted.create(name, networks={})
    marker.state = "running"
    scripted._emit(marker, "start")
    await sink.until(lambda: name in sink.names, "the marker")
