"""Following a scripted engine: what is asked of it, what is told, and nothing on ignorance."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from tests.fakes.sink import RecordingSink
from tests.scripted_engine import ScriptedEngine
from tests.unit.discovery.conftest import watching

from reconciler.core.model import Health


pytestmark = pytest.mark.filterwarnings(
    # docker-py leaves the sockets of broken answers to the garbage collector.
    "ignore::pytest.PytestUnraisableExceptionWarning"
)

WEB = {
    "com.docker.compose.project": "demo",
    "com.docker.compose.service": "web",
    "com.docker.compose.container-number": "1",
}


async def test_it_subscribes_before_it_lists(scripted: ScriptedEngine) -> None:
    """An event between a list and a subscription would be lost; so the list comes last."""
    scripted.run_many(3, labels=WEB)
    scripted.events.forget()
    scripted.faults.stall("/containers/json")
    async with watching(scripted.url, timeout_seconds=30) as sink:
        await scripted.requests.seen("/containers/json")
        assert len(scripted.events.streams) == 1
        scripted.run("web-4", labels=WEB)
        await sink.until_names("web-4")
        scripted.faults.clear()
        await sink.until_names("web-1", "web-2", "web-3", "web-4")


@pytest.mark.parametrize("fault", ["delay", "fail"])
async def test_a_list_that_events_overtook_is_told_once_it_is_whole(
    scripted: ScriptedEngine, fault: str
) -> None:
    """Replayed events drop their containers from the list: who acts on it must wait.

    Else a daemon that is started in the middle of a burst would take the map of its former
    life apart, for want of containers that it is just inspecting.
    """
    scripted.run_many(4, labels=WEB)
    scripted.faults.delay("/containers/json", seconds=0.2)
    if fault == "delay":
        scripted.faults.delay("/containers/*/json", seconds=0.3, count=3)
    else:
        scripted.faults.fail("/containers/*/json", count=3)
    async with watching(scripted.url) as sink:
        await sink.until(lambda: sink.lists >= 1, "a list")

        assert sink.names == ["web-1", "web-2", "web-3", "web-4"]


async def test_one_list_and_no_inspect_to_start_with(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """However many containers there are, one request reads them."""
    del sink
    scripted.requests.reset()
    quiet = ScriptedEngine(scripted.path.with_name("quiet.sock"))
    quiet.run_many(50, labels=WEB)
    quiet.events.forget()
    async with quiet, watching(quiet.url) as other:
        await other.until(lambda: other.lists == 1, "a list")

        assert len(other.known) == 50
        assert (quiet.requests.lists, quiet.requests.inspects) == (1, 0)
        assert len(other.changes) == 1


async def test_one_inspect_for_each_event(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """A start is answered by one inspect of that container, and by no list."""
    await asyncio.sleep(0)
    scripted.requests.reset()
    one = scripted.create("web-1", labels=WEB)
    one.state = "running"
    scripted._emit(one, "start")
    await sink.until_names("web-1")

    assert (scripted.requests.lists, scripted.requests.inspects) == (0, 1)


async def test_events_during_an_inspect_are_one_next_inspect(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """A burst about one container costs two inspects, not ten."""
    one = scripted.run("web-1", labels=WEB)
    await sink.until_names("web-1")
    await _settled(scripted)
    scripted.requests.reset()
    scripted.faults.stall("/containers/*/json", count=1)
    scripted.health(one, "healthy")
    await scripted.requests.seen("/containers/{id}/json")
    for _ in range(8):
        scripted.health(one, "unhealthy")
    await _delivered(scripted, sink)
    scripted.faults.clear()
    await sink.until(
        lambda: sink.known[one.id].health is Health.UNHEALTHY, "the last verdict"
    )

    assert scripted.requests.inspects == 3  # one is of the marker's container


async def _settled(scripted: ScriptedEngine) -> None:
    """Return when no more inspect is on its way."""
    before = -1
    while scripted.requests.inspects != before:
        before = scripted.requests.inspects
        await asyncio.sleep(0.05)


async def _delivered(scripted: ScriptedEngine, sink: RecordingSink) -> None:
    """Return when every event so far was received: a later one has had its effect."""
    name = f"marker-{time.monotonic_ns()}"
    marker = scripted.create(name, networks={})
    marker.state = "running"
    scripted._emit(marker, "start")
    await sink.until(lambda: name in sink.names, "the marker")


async def test_a_death_removes_at_once(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """``die`` alone takes a container out, while no question to the engine is answered."""
    scripted.run_many(2, labels=WEB)
    await sink.until_names("web-1", "web-2")
    scripted.faults.stall("/containers/*", count=None)
    scripted.die("web-1", 137)
    await sink.until_names("web-2")
    scripted.faults.clear()


@pytest.mark.parametrize(
    ("verb", "expected"),
    [
        pytest.param(lambda e: e.stop("web-1"), ["web-2"], id="stop"),
        pytest.param(lambda e: e.kill("web-1"), ["web-2"], id="kill"),
        pytest.param(lambda e: e.remove("web-1"), ["web-2"], id="remove"),
        pytest.param(lambda e: e.restarting("web-1"), ["web-2"], id="crash-loop"),
        pytest.param(lambda e: e.rename("web-1", "api"), ["api", "web-2"], id="rename"),
    ],
)
async def test_verbs_are_followed(
    scripted: ScriptedEngine,
    sink: RecordingSink,
    verb: Callable[[ScriptedEngine], object],
    expected: list[str],
) -> None:
    """Whatever happens to a container, it is known as it is afterwards."""
    scripted.run_many(2, labels=WEB)
    await sink.until_names("web-1", "web-2")
    verb(scripted)
    await sink.until_names(*expected)


async def test_changes_of_a_running_container_are_followed(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """Pause, health and networks change a container that stays."""
    one = scripted.run("web-1", labels=WEB, health="starting")
    await sink.until_names("web-1")

    scripted.pause(one)
    await sink.until(lambda: sink.known[one.id].is_paused, "paused")
    scripted.unpause(one)
    await sink.until(lambda: not sink.known[one.id].is_paused, "unpaused")
    scripted.health(one, "healthy")
    await sink.until(lambda: sink.known[one.id].health is Health.HEALTHY, "healthy")
    scripted.connect(one, "more", "127.10.9.9")
    await sink.until(lambda: len(sink.known[one.id].networks) == 2, "connected")
    scripted.disconnect(one, "more")
    await sink.until(lambda: len(sink.known[one.id].networks) == 1, "disconnected")

    assert sink.removed == []


async def test_health_checks_that_change_nothing_cost_nothing(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """The three exec events of every HEALTHCHECK run are not even delivered."""
    one = scripted.run("web-1", labels=WEB, health="healthy")
    await sink.until_names("web-1")
    await _settled(scripted)
    scripted.requests.reset()
    for _ in range(20):
        scripted.probe(one)
    await _delivered(scripted, sink)

    assert scripted.requests.inspects == 1  # the marker's


@pytest.mark.parametrize("is_clean", [True, False], ids=["clean", "cut"])
async def test_the_end_of_the_stream_means_read_everything_again(
    scripted: ScriptedEngine, sink: RecordingSink, *, is_clean: bool
) -> None:
    """After any end: subscribed anew, listed anew, nothing removed, and the gap closed."""
    scripted.run_many(2, labels=WEB)
    await sink.until_names("web-1", "web-2")
    lists = sink.lists
    scripted.events.drop(100)
    scripted.run("web-3", labels=WEB)
    scripted.die("web-1")
    scripted.events.emitted.clear()
    scripted.events.end(is_clean=is_clean)
    await sink.until_names("web-2", "web-3")

    assert sink.lists > lists
    assert sink.removed == ["web-1"]
    assert any("stream has ended" in loss for loss in sink.losses)
    scripted.events.drop(-scripted.events._to_drop)
    await scripted.events.joined()
    scripted.run("web-4", labels=WEB)
    await sink.until_names("web-2", "web-3", "web-4")


async def test_nothing_is_removed_while_the_engine_is_down(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """Absent or refusing: everything stays as it was, and is mended afterwards."""
    scripted.run_many(3, labels=WEB)
    await sink.until_names("web-1", "web-2", "web-3")
    await scripted.close()
    await sink.until(lambda: any("reached" in loss for loss in sink.losses), "a loss")
    before = len(sink.losses)
    await scripted.refuse()
    await sink.until(
        lambda: any("engine running" in loss for loss in sink.losses[before:]),
        "refusal",
    )
    assert sink.names == ["web-1", "web-2", "web-3"]
    assert sink.removed == []

    scripted._by_id[scripted.find("web-2").id].state = "exited"
    await scripted.start()
    await sink.until_names("web-1", "web-3")
    assert sink.removed == ["web-2"]


async def test_the_engine_restarts_and_forgets_its_events(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """A new inode, no replay: the list alone brings the catalog up to date."""
    scripted.run_many(2, labels=WEB)
    await sink.until_names("web-1", "web-2")
    await scripted.close()
    scripted.run("web-3", labels=WEB)
    await scripted.restart_engine()
    await sink.until_names("web-1", "web-2", "web-3")

    assert sink.removed == []


async def test_refusals_remove_nothing(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """500s on everything after a lost stream: told with the engine's words, then mended."""
    scripted.run_many(2, labels=WEB)
    await sink.until_names("web-1", "web-2")
    scripted.faults.fail(count=None, message="no space left; give me\nroom")
    scripted.events.end()
    await sink.until(
        lambda: any("refused" in loss for loss in sink.losses), "a refusal"
    )

    assert any('"no space left; give me\\nroom"' in loss for loss in sink.losses)
    assert sink.removed == []
    lists = sink.lists
    scripted.faults.clear()
    await sink.until(lambda: sink.lists > lists, "a list")
    assert sink.names == ["web-1", "web-2"]


@pytest.mark.parametrize("fault", ["fail", "cut"])
async def test_a_failed_inspect_asks_for_a_list(
    scripted: ScriptedEngine, sink: RecordingSink, fault: str
) -> None:
    """The event is not lost with the answer: a list soon tells what the inspect would have."""
    getattr(scripted.faults, fault)("/containers/*/json", count=None)
    scripted.run("web-1", labels=WEB)
    await sink.until_names("web-1")

    await sink.until(lambda: sink.lists >= 2, "a second list")


async def test_a_list_cut_in_the_middle_is_no_list(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """Half an answer removes nobody."""
    scripted.run_many(5, labels=WEB)
    await sink.until(lambda: len(sink.known) == 5, "five")
    lists = sink.lists
    scripted.faults.cut("/containers/json", count=2)
    scripted.events.end()
    await sink.until(lambda: sink.lists > lists, "a whole list")

    assert sink.removed == []
    assert len(sink.known) == 5


async def test_a_stalled_inspect_delays_no_other_container(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """While one answer does not come, the others are asked and told."""
    scripted.faults.stall("/containers/*/json", count=1)
    scripted.run("web-1", labels=WEB)
    await scripted.requests.seen("/containers/{id}/json")
    scripted.run("web-2", labels=WEB)
    await sink.until_names("web-2")
    scripted.faults.clear()
    await sink.until_names("web-1", "web-2")


async def test_lost_events_are_corrected_by_the_resync(
    scripted: ScriptedEngine,
) -> None:
    """What no event told comes with the next timed list, and is told as a correction."""
    scripted.run_many(2, labels=WEB)
    scripted.events.forget()
    async with watching(scripted.url, resync_seconds=0.2) as sink:
        await sink.until_names("web-1", "web-2")
        scripted.events.drop(1000)
        scripted.run("web-3", labels=WEB)
        scripted.die("web-1")
        await sink.until_names("web-2", "web-3")
        late = [(changes, is_resync) for changes, is_resync in sink.changes[1:]]
        assert all(is_resync for _, is_resync in late)
        assert sum(len(changes) for changes, _ in late) == 2


async def test_a_quiet_resync_is_one_list_and_tells_nothing(
    scripted: ScriptedEngine,
) -> None:
    """Where nothing was missed, a resync costs one request and changes nothing.

    Once, whoever was only listed is inspected: how does it stop?
    """
    scripted.run_many(3, labels=WEB, health="healthy")
    scripted.pause("web-3")
    scripted.events.forget()
    async with watching(scripted.url, resync_seconds=0.1) as sink:
        await sink.until(lambda: sink.lists == 1, "the first list")
        await sink.until(lambda: scripted.requests.inspects == 3, "three inspects")
        lists = sink.lists
        scripted.requests.reset()
        await sink.until(lambda: sink.lists == lists + 3, "three more lists")

        assert (scripted.requests.lists, scripted.requests.inspects) == (3, 0)
        assert len(sink.changes) == 1


async def test_a_silent_stream_is_made_up_for_by_the_resync(
    scripted: ScriptedEngine,
) -> None:
    """A stream that is open and says nothing any more costs one resync period."""
    async with watching(scripted.url, resync_seconds=0.2) as sink:
        await sink.until(lambda: sink.lists >= 1, "a list")
        scripted.events.stall()
        scripted.run("web-1", labels=WEB)
        await sink.until_names("web-1")
        scripted.events.resume()


async def test_repeated_and_reordered_events_do_no_harm(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """Events are hints: in any order and number the end is what the engine says."""
    scripted.run_many(3, labels=WEB)
    await sink.until_names("web-1", "web-2", "web-3")
    scripted.events.double(1000)
    scripted.events.hold()
    scripted.restart("web-1")
    scripted.die("web-2")
    scripted.begin("web-2")
    scripted.die("web-3")
    scripted.events.release(is_reversed=True)
    await sink.until_names("web-1", "web-2")
    await _settled(scripted)

    assert sink.names == ["web-1", "web-2"]


async def test_an_event_of_unknown_form_is_passed_over(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """One odd line in the stream ends neither the stream nor the daemon."""
    losses = len(sink.losses)
    for stream in scripted.events.streams:
        stream._write(b'{"Type": {}, "Action": 7}\n')
        stream._write(b'{"Type": "container", "Action": "start", "Actor": [1]}\n')
    scripted.run("web-1", labels=WEB)
    await sink.until_names("web-1")

    assert len(sink.losses) == losses


async def test_a_replayed_destroy_is_final(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """A removal seen only in the replay removes, though it fences the list it came with."""
    one = scripted.run("web-1", labels=WEB)
    await sink.until_names("web-1")
    scripted.events.drop(100)
    scripted.die(one)
    scripted.events.emitted.clear()
    scripted.remove(one)
    scripted.events.drop(-scripted.events._to_drop)
    scripted.faults.delay("/containers/json", seconds=0.3)
    scripted.events.end()
    await sink.until_names()


async def test_a_stream_that_always_ends_at_once_is_not_asked_for_in_a_hurry(
    scripted: ScriptedEngine,
) -> None:
    """An engine (or a proxy before it) that cuts every stream is not flooded."""
    scripted.faults.cut("/events", count=None)
    async with watching(scripted.url) as sink:
        await sink.until(lambda: len(sink.losses) >= 2, "two ends")
        scripted.requests.reset()
        await asyncio.sleep(1.0)

        assert 1 <= scripted.requests.routes["/events"] <= 5


async def test_the_engine_is_only_read(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """Nothing but GET, and only on the paths that a socket proxy has to allow."""
    one = scripted.run("web-1", labels=WEB)
    await sink.until_names("web-1")
    scripted.events.end()
    await sink.until(lambda: sink.lists == 2, "a second list")
    scripted.remove(one)
    await sink.until_names()

    assert scripted.requests.refused == []
    assert set(scripted.requests.routes) <= {
        "/_ping",
        "/version",
        "/info",
        "/events",
        "/containers/json",
        "/containers/{id}/json",
    }
