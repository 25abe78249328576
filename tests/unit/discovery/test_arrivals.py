"""Who is about to start: its address is known before it runs, and nothing depends on that."""

from __future__ import annotations

import asyncio

import pytest
from tests.fakes.sink import RecordingSink
from tests.scripted_engine import ScriptedEngine
from tests.scripted_engine.control import DEFAULT_NETWORK as NETWORK
from tests.scripted_engine.model import Addresses, ScriptedContainer
from tests.unit.discovery.conftest import watching

from reconciler.core.model import Attachment
from reconciler.discovery import arrivals, watch


WEB = {
    "com.docker.compose.project": "demo",
    "com.docker.compose.service": "web",
    "com.docker.compose.container-number": "1",
}


async def born(scripted: ScriptedEngine, name: str = "web-1") -> ScriptedContainer:
    """Create a container, and wait until it was described."""
    asked = scripted.requests.inspects
    made = scripted.create(name, labels=WEB)
    await scripted.requests.seen("/containers/{id}/json", asked + 1)
    await _answers_are_taken()
    return made


async def expected(scripted: ScriptedEngine, sink: RecordingSink) -> ScriptedContainer:
    """Have a container that has its address and does not run yet."""
    one = await born(scripted)
    scripted.attach(one)
    await sink.until_names("web-1")
    return one


async def _answers_are_taken() -> None:
    """Let an answer that was sent be read: over a socket that takes a few turns."""
    for _ in range(50):
        await asyncio.sleep(0.001)


async def test_it_is_told_with_its_address_before_it_runs(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """From the network, which is described while the engine does not describe it."""
    one = await expected(scripted, sink)

    told = sink.known[one.id]
    assert (told.is_starting, told.is_running) == (True, False)
    assert told.networks == (Attachment(network=NETWORK, ipv4=one.address),)
    assert told.tcp_ports == (8000,)
    assert scripted.requests.routes["/networks/{id}"] == 1


async def test_its_start_is_taken_at_its_word_and_looked_at_later(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """No request stands between the event and what is told; one follows and changes nothing."""
    one = await expected(scripted, sink)
    scripted.requests.reset()
    scripted.faults.stall("/containers/*")
    scripted.begin(one)
    await sink.until(lambda: sink.known[one.id].is_running, "it runs")
    assert scripted.requests.inspects == 0
    told = len(sink.changes)

    scripted.faults.clear()
    await scripted.requests.seen("/containers/{id}/json")
    await _answers_are_taken()
    assert len(sink.changes) == told
    assert not sink.known[one.id].is_starting


async def test_what_the_look_finds_counts(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """It moved between its address and its start: the inspect is believed."""
    one = await expected(scripted, sink)
    one.networks[NETWORK] = Addresses.parse("127.10.9.9")
    scripted.begin(one)

    await sink.until(
        lambda: sink.known[one.id].networks[0].ipv4 == "127.10.9.9", "its address"
    )


async def test_its_stop_signal_is_known_from_the_start(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """A stop that comes before the look is acted upon without one."""
    one = await expected(scripted, sink)
    scripted.begin(one)
    await sink.until(lambda: sink.known[one.id].is_running, "it runs")
    scripted.requests.reset()
    scripted.signal(one, 15)

    await sink.until(lambda: sink.known[one.id].is_stopping, "it stops")
    assert scripted.requests.inspects == 0


async def test_a_start_that_fails_leaves_nobody(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """It is taken off its network: a look says that it does not run."""
    one = await expected(scripted, sink)
    scripted.fail_to_start(one)

    await sink.until_names()


async def test_whoever_does_not_start_is_forgotten(
    scripted: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while its slot is free again, whatever the engine does; a start still counts."""
    monkeypatch.setattr(watch, "_EXPECTED_SECONDS", 0.05)
    async with watching(scripted.url) as sink:
        await sink.until(lambda: sink.lists == 1, "the first list")
        one = await born(scripted)
        scripted.attach(one)
        await sink.until_names("web-1")
        await sink.until_names()
        assert sink.removed == ["web-1"]

        scripted.begin(one)
        await sink.until(lambda: sink.names == ["web-1"], "it runs")
        assert sink.known[one.id].is_running


async def test_a_removal_ends_it(scripted: ScriptedEngine, sink: RecordingSink) -> None:
    """Removed before it ran."""
    one = await expected(scripted, sink)
    scripted.remove(one)

    await sink.until_names()


async def test_a_list_says_nothing_of_who_does_not_run(
    scripted: ScriptedEngine,
) -> None:
    """A resync between the address and the start takes nobody out."""
    async with watching(scripted.url, resync_seconds=0.05) as sink:
        await sink.until(lambda: sink.lists == 1, "the first list")
        scripted.create("web-1", labels=WEB)
        one = scripted.find("web-1")
        await _answers_are_taken()
        scripted.attach(one)
        await sink.until_names("web-1")
        lists = sink.lists
        await sink.until(lambda: sink.lists >= lists + 3, "some lists")

        assert sink.names == ["web-1"]
        assert sink.removed == []


@pytest.mark.parametrize("fault", ["fail", "stall", "cut"])
async def test_where_the_network_cannot_be_read_the_start_is_looked_at(
    scripted: ScriptedEngine, sink: RecordingSink, fault: str
) -> None:
    """As ever, and the engine does not count as lost for that."""
    getattr(scripted.faults, fault)("/networks/*")
    one = await born(scripted)
    scripted.attach(one)
    await scripted.requests.seen("/networks/{id}")
    scripted.begin(one)

    await sink.until_names("web-1")
    assert sink.known[one.id].is_running
    assert sink.losses == []


async def test_a_refused_inspect_is_no_loss(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """A container that cannot be described before its start is looked at after it."""
    scripted.faults.fail("/containers/*/json")
    one = await born(scripted)
    scripted.begin(one)

    await sink.until_names("web-1")
    assert sink.losses == []


async def test_an_inspect_that_waits_for_the_start_is_given_up(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """An engine does not describe whom it starts: the look that follows is enough."""
    scripted.faults.stall("/containers/*/json", count=1)
    one = scripted.create("web-1", labels=WEB)
    await scripted.requests.seen("/containers/{id}/json")
    scripted.begin(one)
    await sink.until_names("web-1")

    assert scripted.requests.inspects == 2


@pytest.mark.parametrize(
    "options",
    [
        {"health": "starting"},
        {"networks": {"front": "127.10.0.8", "back": "127.10.0.9"}},
        {"networks": {}, "network_mode": "none"},
        {"labels": {"unrelated": "1"}},
        {"labels": {**WEB, "com.docker.swarm.task.id": "t1"}},
    ],
    ids=["health", "two networks", "no network", "no label", "task"],
)
async def test_others_wait_for_their_start(
    scripted: ScriptedEngine, sink: RecordingSink, options: dict[str, object]
) -> None:
    """Where a start does not mean rotation, or the address would not be the only one."""
    one = scripted.create("web-1", **{"labels": WEB, **options})  # type: ignore[arg-type]
    await scripted.requests.seen("/containers/{id}/json")
    await _answers_are_taken()
    scripted.attach(one)
    await _answers_are_taken()
    assert scripted.requests.routes["/networks/{id}"] == 0

    scripted.begin(one)
    await sink.until_names("web-1")


async def test_nobody_is_prepared_for_in_a_crowd(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """One is read at a time, and those that come meanwhile cost nothing before their start."""
    scripted.faults.stall("/containers/*/json", count=1)
    made = [scripted.create(f"web-{number}", labels=WEB) for number in range(1, 30)]
    await scripted.requests.seen("/containers/{id}/json")
    await _answers_are_taken()
    assert scripted.requests.inspects == 1
    for one in made:
        scripted.begin(one)

    await sink.until(lambda: len(sink.known) == 29, "all of them")
    assert scripted.requests.routes["/networks/{id}"] == 0


async def test_where_many_run_nobody_is_prepared_for(
    scripted: ScriptedEngine, sink: RecordingSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network is described with all who are on it: that grows."""
    monkeypatch.setattr(watch, "MOST_RUNNING", 2)
    scripted.run_many(3, labels=WEB)
    await sink.until(lambda: len(sink.known) == 3, "all of them")
    scripted.requests.reset()
    scripted.create("web-4", labels=WEB)
    await _answers_are_taken()

    assert scripted.requests.inspects == 0


async def test_those_that_never_start_are_not_kept_for_ever(
    scripted: ScriptedEngine, sink: RecordingSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many that were created the last ones are remembered."""
    del sink
    monkeypatch.setattr(arrivals, "MOST_BORN", 2)
    first, _, last = [await born(scripted, f"web-{number}") for number in (1, 2, 3)]
    scripted.attach(first)
    await _answers_are_taken()
    assert scripted.requests.routes["/networks/{id}"] == 0
    scripted.attach(last)
    await scripted.requests.seen("/networks/{id}")


async def test_a_replayed_birth_leads_to_nothing(scripted: ScriptedEngine) -> None:
    """What was created before anybody listened has started by now, or will be looked at."""
    scripted.create("web-1", labels=WEB)
    async with watching(scripted.url) as sink:
        await sink.until(lambda: sink.lists == 1, "the first list")
        await _answers_are_taken()

        assert scripted.requests.inspects == 0
        assert "create" not in sink.heard_actions


async def test_lines_of_a_burst_that_lead_to_nothing_are_counted(
    scripted: ScriptedEngine, sink: RecordingSink
) -> None:
    """They are not read, and nobody is missed for that; somebody who runs is looked at."""
    known = scripted.run("db-1", labels=WEB)
    await sink.until_names("db-1")
    scripted.faults.stall("/containers/*")
    for number in range(20):
        scripted.run(f"web-{number}", labels=WEB)
    scripted.connect(known, "other", "127.10.77.1")
    await sink.until(lambda: sink.heard_actions.count("create") == 21, "21 births")
    await sink.until(lambda: sink.heard_actions.count("connect") == 22, "22 connects")
    scripted.faults.clear()

    await sink.until(lambda: len(sink.known) == 21, "all of them")
    await sink.until(lambda: len(sink.known[known.id].networks) == 2, "the connect")
