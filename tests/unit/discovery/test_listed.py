"""Readings that disagree: what a list may say of a container that was inspected."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st
from tests.fakes.containers import WEB, container
from tests.fakes.sink import RecordingSink
from tests.scripted_engine import ScriptedEngine
from tests.unit.discovery.conftest import watching

from reconciler.core.model import Attachment, Container, Health, StopRule
from reconciler.discovery.catalog import NEWCOMER_SECONDS, Catalog
from reconciler.discovery.listed import listed_over


BOTH = Attachment(network="demo_default", ipv4="10.0.0.1", ipv6="fd00::1")
KNOWN = replace(
    container(health=Health.UNHEALTHY, networks=[BOTH], tcp_ports=(8000, 9000)),
    image="a",
    stop=StopRule(),
    started=7.0,
)
"""As an inspect told."""

LISTED = replace(KNOWN, stop=None, started=0.0)
PODMANS = replace(LISTED, health=Health.NONE, networks=(), tcp_ports=())


@pytest.mark.parametrize(
    "less",
    [
        {"health": Health.NONE},
        {"tcp_ports": ()},
        {"tcp_ports": (9000,)},
        {"networks": ()},
        {"networks": (replace(BOTH, ipv4="", ipv6=""),)},
        {"networks": (replace(BOTH, ipv6=""),)},
        {"labels": {}},
        {"name": ""},
        {"network_mode": ""},
        {"image": ""},
        {"created": 0.0},
    ],
    ids=repr,
)
def test_what_a_list_does_not_carry_stays(less: dict[str, object]) -> None:
    """Each field that is empty, or of which some is missing, is as the inspect told."""
    listed = replace(LISTED, **less)  # type: ignore[arg-type] # by name

    assert listed != KNOWN
    assert listed_over(KNOWN, listed) == KNOWN


@pytest.mark.parametrize(
    "other",
    [
        {"health": Health.HEALTHY},
        {"tcp_ports": (8001,)},
        {"tcp_ports": (8000, 8001, 9000)},
        {"networks": (Attachment(network="other", ipv4="10.9.0.1"),)},
        {"networks": (replace(BOTH, ipv4="10.0.0.2"),)},
        {"labels": {"haproxy.port": "80"}},
        {"name": "renamed"},
        {"is_paused": True, "health": Health.NONE},
    ],
    ids=repr,
)
def test_what_a_list_carries_counts(other: dict[str, object]) -> None:
    """Where it says something else, that is news, and nothing is uncertain."""
    listed = replace(LISTED, **other)  # type: ignore[arg-type] # by name

    assert listed_over(KNOWN, listed) == listed


def test_what_an_inspect_alone_tells_stays() -> None:
    """How it stops, and since when it lives."""
    found = listed_over(KNOWN, PODMANS)

    assert (found.stop, found.started) == (KNOWN.stop, KNOWN.started)


containers = st.builds(
    container,
    labels=st.sampled_from([None, {"haproxy.port": "1"}]),
    is_paused=st.booleans(),
    health=st.sampled_from(Health),
    network_mode=st.sampled_from(["", "demo_default"]),
    networks=st.sampled_from([(), (BOTH,), (replace(BOTH, ipv4=""),)]),
    tcp_ports=st.sampled_from([(), (80,), (80, 443)]),
)


@given(known=containers, listed=containers)
def test_a_list_that_is_taken_twice_says_the_same(
    known: Container, listed: Container
) -> None:
    """What became of it is not changed by the same list again."""
    once = listed_over(known, listed)

    assert listed_over(once, listed) == once


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def take(catalog: Catalog, *containers: Container) -> dict[str, Container | None]:
    """Read containers, each by itself."""
    changes: dict[str, Container | None] = {}
    for one in containers:
        with catalog.reading() as moment:
            changes |= catalog.put(one, moment)
    return changes


def test_a_list_that_tells_less_changes_nothing_and_asks_for_an_inspect() -> None:
    """At each resync anew, and no more once an inspect has told."""
    catalog = Catalog()
    take(catalog, KNOWN)

    assert catalog.unlearned() == []
    for _ in range(2):
        assert take(catalog, PODMANS) == {}
        assert catalog.unlearned() == [KNOWN.id]
        assert take(catalog, KNOWN) == {}
        assert catalog.unlearned() == []


def test_an_inspect_counts_in_full() -> None:
    """Also where it has nothing of what was there before."""
    catalog = Catalog()
    take(catalog, KNOWN)
    take(catalog, PODMANS)
    bare = replace(PODMANS, stop=StopRule())

    assert take(catalog, bare) == {bare.id: bare}
    assert catalog.unlearned() == []


def test_a_list_takes_out_and_pauses() -> None:
    """Whether somebody runs is told by every list, however little else it tells."""
    catalog = Catalog()
    take(catalog, KNOWN)

    paused = take(catalog, replace(PODMANS, is_paused=True))[KNOWN.id]
    assert paused is not None
    assert (paused.is_paused, paused.networks) == (True, KNOWN.networks)
    assert take(catalog, replace(PODMANS, is_running=False)) == {KNOWN.id: None}
    assert catalog.unlearned() == []


def test_who_was_only_listed_is_as_the_last_list_says() -> None:
    """There is no inspect that could be overruled."""
    catalog = Catalog()
    take(catalog, LISTED)

    assert take(catalog, PODMANS) == {KNOWN.id: PODMANS}


def test_where_lists_tell_less_newcomers_of_a_list_are_inspected() -> None:
    """Even one whose stop signal is known from its former life."""
    catalog = Catalog()
    take(catalog, KNOWN)
    take(catalog, PODMANS)
    catalog.note_gone(KNOWN.id)
    take(catalog, PODMANS)

    assert catalog.lists_less
    assert catalog.unlearned() == [KNOWN.id]


def test_a_newcomer_is_not_listed_away() -> None:
    """Who was inspected a moment before the list was asked for stays, and is named."""
    clock = Clock()
    catalog = Catalog(clock)
    take(catalog, KNOWN)
    clock.now += NEWCOMER_SECONDS / 2
    with catalog.reading() as moment:
        clock.now += 60.0  # a long list
        assert catalog.keep_only([], moment) == {}
        assert catalog.newcomers_not_in([], moment) == [KNOWN.id]
        assert catalog.newcomers_not_in([KNOWN.id], moment) == []


def test_who_began_by_its_event_is_a_newcomer() -> None:
    """It was read before it ran, which no list shows."""
    clock = Clock()
    catalog = Catalog(clock)
    catalog.expect(replace(KNOWN, is_running=False))
    clock.now += 60.0
    catalog.begin(KNOWN.id)
    with catalog.reading() as moment:
        assert catalog.keep_only([], moment) == {}
        assert catalog.newcomers_not_in([], moment) == [KNOWN.id]


def test_who_is_older_is_listed_away() -> None:
    """And so is whoever was known from a list: lists do know of them."""
    clock = Clock()
    catalog = Catalog(clock)
    listed = container(2)
    take(catalog, KNOWN)
    clock.now += NEWCOMER_SECONDS
    take(catalog, listed)
    with catalog.reading() as moment:
        assert catalog.keep_only([], moment) == {KNOWN.id: None, listed.id: None}
        assert catalog.newcomers_not_in([], moment) == []


def test_newcomers_are_forgotten_with_their_end_and_with_time() -> None:
    """Nothing grows with the number of containers that there have been."""
    clock = Clock()
    catalog = Catalog(clock)
    for number in range(1, 101):
        take(catalog, replace(container(number), stop=StopRule()))
    for number in range(1, 51):
        catalog.note_gone(container(number).id)
    assert len(catalog._newcomers) == 50
    clock.now += NEWCOMER_SECONDS
    with catalog.reading() as moment:
        catalog.newcomers_not_in([], moment)
    assert catalog._newcomers == {}


async def test_a_resync_of_what_is_unchanged_inspects_nobody(
    scripted: ScriptedEngine,
) -> None:
    """Docker's lists tell all: once everybody was inspected, nothing is asked but lists."""
    scripted.run("web-1", labels=WEB, health="healthy", published={"8000/tcp": 18000})
    scripted.run("web-2", labels=WEB, health="unhealthy", ports=[80, 443, "53/udp"])
    scripted.run("web-3", labels=WEB, networks={"host": ""}, network_mode="host")
    scripted.run("web-4", labels=WEB, networks={"a": "127.10.9.1", "b": "127.10.9.2"})
    scripted.pause(scripted.run("web-5", labels=WEB, health="healthy"))
    async with watching(scripted.url, resync_seconds=0.05) as sink:
        await sink.until(lambda: scripted.requests.inspects == 5, "all inspected")
        told, changes = sink.lists, len(sink.changes)
        await sink.until(lambda: sink.lists > told + 3, "three resyncs")

    assert scripted.requests.inspects == 5
    assert len(sink.changes) == changes


async def test_where_lists_tell_less_a_resync_changes_nothing(
    scripted: ScriptedEngine,
) -> None:
    """Ports and networks do not flap, and an unhealthy one is not made ready."""
    scripted.lists_less = True
    one = scripted.run("web-1", labels=WEB, health="unhealthy")

    def is_whole(sink: RecordingSink) -> bool:
        known = sink.known.get(one.id)
        return known is not None and known.health is Health.UNHEALTHY

    async with watching(scripted.url, resync_seconds=0.05) as sink:
        await sink.until(lambda: is_whole(sink), "its health")
        told, changes = sink.lists, len(sink.changes)
        await sink.until(lambda: sink.lists > told + 3, "three resyncs")
        assert len(sink.changes) == changes
        known = sink.known[one.id]
        assert (known.tcp_ports, len(known.networks)) == ((8000,), 1)

        # Its event is lost: the next resync asks.
        one.health = "healthy"
        await sink.until(
            lambda: sink.known[one.id].health is Health.HEALTHY, "the new verdict"
        )


async def test_where_lists_tell_less_a_burst_is_inspected(
    scripted: ScriptedEngine,
) -> None:
    """Those that start together are not read by a list that would call them ready."""
    scripted.lists_less = True
    first = scripted.run("web-0", labels=WEB, health="healthy")
    async with watching(scripted.url, resync_seconds=0.05) as sink:
        await sink.until(
            lambda: first.id in sink.known and sink.known[first.id].tcp_ports != (),
            "what an inspect tells",
        )
        told = sink.lists
        await sink.until(lambda: sink.lists > told + 1, "a list that told less")
        before = len(sink.changes)
        started = scripted.run_many(30, labels=WEB, health="starting")
        await sink.until(lambda: len(sink.known) == 31, "all of them")

    seen = [
        container
        for changes, _ in sink.changes[before:]
        for id_, container in changes.items()
        if container is not None and id_ in {one.id for one in started}
    ]
    assert len(seen) >= 30
    assert {one.health for one in seen} == {Health.STARTING}


async def test_a_list_that_lags_takes_no_newcomer_out(scripted: ScriptedEngine) -> None:
    """A container that runs, and that a list does not show yet, keeps its place."""
    async with watching(scripted.url, resync_seconds=0.05) as sink:
        await sink.until(lambda: sink.lists == 1, "the first list")
        late = scripted.run("web-1", labels=WEB)
        await sink.until_names("web-1")
        scripted.unlisted.add(late.id)
        told, inspects = sink.lists, scripted.requests.inspects
        await sink.until(lambda: sink.lists > told + 2, "lists without it")
        assert sink.names == ["web-1"]
        assert scripted.requests.inspects > inspects
        scripted.unlisted.clear()

    assert sink.removed == []


async def test_a_newcomer_that_ended_unheard_is_gone_after_one_inspect(
    scripted: ScriptedEngine,
) -> None:
    """It is missing in the list, and its engine says that it does not run."""
    async with watching(scripted.url, resync_seconds=0.05) as sink:
        await sink.until(lambda: sink.lists == 1, "the first list")
        scripted.run("web-1", labels=WEB)
        await sink.until_names("web-1")
        scripted.events.drop(100)
        scripted.die("web-1")
        await sink.until_names()

    assert sink.removed == ["web-1"]
