"""Stop signals, followed live: marked at once, by the container's own signal, and undone."""

from __future__ import annotations

import asyncio

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


async def _learned(scripted: ScriptedEngine, count: int) -> None:
    """Return once so many containers were inspected."""
    async with asyncio.timeout(10):
        while scripted.requests.inspects < count:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.005)


def _is_stopping(sink: RecordingSink, one: ScriptedContainer) -> bool:
    return one.id in sink.known and sink.known[one.id].is_stopping


async def _marked(sink: RecordingSink, one: ScriptedContainer) -> None:
    """Return once a container is known to stop."""
    await sink.until(lambda: _is_stopping(sink, one), f"{one.name} stops")


async def _in_rotation(sink: RecordingSink, one: ScriptedContainer) -> None:
    """Return once a container is known to run on."""
    await sink.until(
        lambda: one.id in sink.known and not sink.known[one.id].is_stopping,
        f"{one.name} runs on",
    )


@pytest.mark.parametrize(
    ("stop_signal", "number"),
    [("", 15), ("SIGQUIT", 3), ("SIGRTMIN+3", 37), ("2", 2), ("", 9), ("SIGQUIT", 9)],
)
async def test_its_own_stop_signal_marks_at_once(
    scripted: ScriptedEngine, sink: RecordingSink, stop_signal: str, number: int
) -> None:
    """No question is asked in between: the engine does not even answer any more."""
    one = scripted.run("web-1", labels=WEB, stop_signal=stop_signal)
    await sink.until_names("web-1")
    scripted.faults.stall("/containers/*", count=None)

    scripted.signal(one, number)
    await _marked(sink, one)

    changes, is_resync = sink.changes[-1]
    assert (list(changes), is_resync) == ([one.id], False)


@pytest.mark.parametrize(
    ("stop_signal", "number"), [("", 1), ("", 10), ("SIGQUIT", 15), ("15", 3)]
)
async def test_another_signal_changes_nothing_and_asks_nothing(
    scripted: ScriptedEngine, sink: RecordingSink, stop_signal: str, number: int
) -> None:
    """A reload is no stop, and costs no inspect."""
    one = scripted.run("web-1", labels=WEB, stop_signal=stop_signal)
    await sink.until_names("web-1")
    told = len(sink.changes)
    scripted.requests.reset()

    scripted.signal(one, number)
    other = scripted.run("web-2", labels=WEB)
    await sink.until_names("web-1", "web-2")

    assert not _is_stopping(sink, one)
    assert not _is_stopping(sink, other)
    assert len(sink.changes) == told + 1
    assert scripted.requests.inspects == 1  # of the second container


async def test_a_signal_that_comes_before_it_was_learned_costs_one_inspect(
    scripted: ScriptedEngine,
) -> None:
    """Whoever was only listed is inspected when the first signal comes."""
    one = scripted.run("web-1", labels=WEB, stop_signal="SIGQUIT")
    two = scripted.run("web-2", labels=WEB)
    scripted.events.forget()
    scripted.faults.fail("/containers/*/json", count=1)  # ends the round of learning
    async with watching(scripted.url) as sink:
        await sink.until_names("web-1", "web-2")
        await _learned(scripted, 1)
        scripted.requests.reset()

        scripted.signal(one, 3)
        await _marked(sink, one)

        assert scripted.requests.inspects == 1
        assert not _is_stopping(sink, two)


async def test_whoever_is_older_than_the_daemon_is_learned_once(
    scripted: ScriptedEngine,
) -> None:
    """One inspect for each, however many lists follow; then a signal needs none."""
    containers = scripted.run_many(5, labels=WEB)
    scripted.events.forget()
    async with watching(scripted.url, resync_seconds=0.05) as sink:
        await sink.until(lambda: sink.lists == 1, "a list")
        await _learned(scripted, 5)
        lists = sink.lists
        await sink.until(lambda: sink.lists >= lists + 3, "three more lists")
        assert scripted.requests.inspects == 5

        scripted.signal(containers[3])
        await _marked(sink, containers[3])

        assert scripted.requests.inspects == 5


async def test_a_list_and_an_inspect_keep_the_mark(scripted: ScriptedEngine) -> None:
    """Neither tells of a stop, so neither takes it back."""
    one = scripted.run("web-1", labels=WEB, health="healthy")
    async with watching(scripted.url, resync_seconds=0.05) as sink:
        await sink.until_names("web-1")
        await _learned(scripted, 1)
        scripted.signal(one)
        await _marked(sink, one)
        lists = sink.lists
        await sink.until(lambda: sink.lists >= lists + 3, "three more lists")
        scripted.health(one, "unhealthy")
        await sink.until(
            lambda: sink.known[one.id].health.value == "unhealthy", "unhealthy"
        )

        assert _is_stopping(sink, one)
        assert all(
            found is None or found.is_stopping or not is_resync
            for changes, is_resync in sink.changes[1:]
            for found in changes.values()
        )


async def test_its_death_clears_the_mark(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """The next life is in rotation, within the stop time-out of the one before."""
    one = scripted.run("web-1", labels=WEB)
    await sink.until_names("web-1")
    scripted.signal(one)
    await _marked(sink, one)

    scripted.die(one)
    await sink.until_names()
    scripted.begin(one)
    await sink.until_names("web-1")

    assert not _is_stopping(sink, one)


async def test_a_restart_is_drained_and_back(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """kill, die, start in one breath: out, gone, and in rotation again."""
    one = scripted.run("web-1", labels=WEB)
    await sink.until_names("web-1")
    told = len(sink.changes)
    scripted.restart(one)
    await sink.until(lambda: sink.removed == ["web-1"], "gone")
    await _in_rotation(sink, one)

    seen = [changes[one.id] for changes, _ in sink.changes[told:]]
    assert seen[0] is not None
    assert seen[0].is_stopping
    assert seen[-1] is not None
    assert not seen[-1].is_stopping


async def test_a_container_that_outlives_its_stop_comes_back(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """A second after its stop time-out it still runs: it was no stop."""
    one = scripted.run("web-1", labels=WEB, stop_timeout=0)
    await sink.until_names("web-1")
    loop = asyncio.get_running_loop()
    began = loop.time()
    scripted.signal(one)
    await _marked(sink, one)
    scripted.requests.reset()
    await _in_rotation(sink, one)

    assert 0.9 <= loop.time() - began < 3
    assert scripted.requests.inspects == 0
    scripted.signal(one)
    await _marked(sink, one)


async def test_a_second_signal_begins_the_time_anew(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """One alarm for each container: the first does not end what the second began."""
    one = scripted.run("web-1", labels=WEB, stop_timeout=0)
    await sink.until_names("web-1")
    scripted.signal(one)
    await _marked(sink, one)
    await asyncio.sleep(0.5)
    loop = asyncio.get_running_loop()
    again = loop.time()
    scripted.signal(one)
    await _in_rotation(sink, one)

    assert loop.time() - again >= 0.9


async def test_a_failing_inspect_does_not_make_lists_in_a_hurry(
    scripted: ScriptedEngine,
) -> None:
    """One list for each event at most, though nobody can be learned."""
    containers = scripted.run_many(3, labels=WEB)
    scripted.events.forget()
    scripted.faults.fail("/containers/*/json", count=None)
    async with watching(scripted.url) as sink:
        await sink.until(lambda: sink.lists == 1, "a list")
        scripted.requests.reset()
        scripted.signal(containers[0])
        scripted.signal(containers[1], 1)
        await asyncio.sleep(0.5)

        assert scripted.requests.lists <= 2
        assert scripted.requests.inspects <= 10
        scripted.faults.clear()
