"""Readings and events that overtake each other, in every order."""

from __future__ import annotations

from contextlib import ExitStack, suppress

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)
from tests.fakes.containers import container

from reconciler.core.model import Container
from reconciler.discovery.catalog import Catalog, Moment


ONE, TWO = container(1), container(2)
RENAMED = container(1, labels={"haproxy.port": "1"})
DEAD = container(1, is_running=False)


def listed(catalog: Catalog, *containers: Container) -> dict[str, Container | None]:
    """Read a list that nothing overtakes."""
    with catalog.reading() as moment:
        return catalog.replace(containers, moment)


def test_a_first_list_is_taken_whole() -> None:
    """Everything is new; the same again changes nothing."""
    catalog = Catalog()

    assert listed(catalog, ONE, TWO) == {ONE.id: ONE, TWO.id: TWO}
    assert listed(catalog, TWO, ONE) == {}
    assert dict(catalog.containers) == {ONE.id: ONE, TWO.id: TWO}


def test_a_list_corrects_what_events_missed() -> None:
    """Who is absent has gone, who differs is replaced, and only they are told."""
    catalog = Catalog()
    listed(catalog, ONE, TWO)

    assert listed(catalog, RENAMED) == {ONE.id: RENAMED, TWO.id: None}


def test_containers_that_do_not_run_are_not_kept() -> None:
    """A list with ``restarting`` entries, or an inspect after the end, removes."""
    catalog = Catalog()
    listed(catalog, ONE)

    assert listed(catalog, DEAD) == {ONE.id: None}
    with catalog.reading() as moment:
        assert catalog.put(DEAD, moment) == {}


def test_a_list_that_began_before_a_death_does_not_resurrect() -> None:
    """The event came during the reading, so the reading is too old."""
    catalog = Catalog()
    listed(catalog, ONE, TWO)
    with catalog.reading() as moment:
        catalog.note_event(ONE.id)
        gone = catalog.note_gone(ONE.id)
        changes = catalog.replace([ONE, TWO], moment)

    assert gone == {ONE.id: None}
    assert changes == {}
    assert set(catalog.containers) == {TWO.id}


def test_an_inspect_that_began_before_a_death_does_not_resurrect() -> None:
    """The same by the other way of reading."""
    catalog = Catalog()
    with catalog.reading() as moment:
        catalog.note_event(ONE.id)
        catalog.note_gone(ONE.id)

        assert catalog.is_outdated(ONE.id, moment)
        assert catalog.put(ONE, moment) == {}


def test_a_list_that_began_before_a_start_does_not_remove() -> None:
    """A container that started meanwhile is absent from the old list, and stays."""
    catalog = Catalog()
    with catalog.reading() as slow:
        catalog.note_event(ONE.id)
        with catalog.reading() as quick:
            catalog.put(ONE, quick)

        assert catalog.replace([], slow) == {}
    assert set(catalog.containers) == {ONE.id}


def test_a_slow_list_overtaken_by_another_list_keeps_its_fence() -> None:
    """A list that completes must not lift the fence for one that began earlier."""
    catalog = Catalog()
    listed(catalog, ONE)
    with catalog.reading() as slow:
        catalog.note_event(ONE.id)
        catalog.note_gone(ONE.id)
        listed(catalog)

        assert catalog.replace([ONE], slow) == {}
    assert listed(catalog, ONE) == {ONE.id: ONE}


def test_an_event_of_one_container_leaves_the_others_alone() -> None:
    """Only what was overtaken is dropped of a list."""
    catalog = Catalog()
    with catalog.reading() as moment:
        catalog.note_event(ONE.id)

        assert catalog.replace([ONE, TWO], moment) == {TWO.id: TWO}


def test_fences_are_forgotten() -> None:
    """A long life with many short containers does not grow the catalog."""
    catalog = Catalog()
    for number in range(100):
        catalog.note_event(str(number))
    listed(catalog)

    assert catalog._last_event == {}


def test_a_failed_reading_is_no_reading() -> None:
    """A reading that raised is closed, and keeps no fence alive."""
    catalog = Catalog()
    with suppress(ValueError), catalog.reading():
        catalog.note_event("1")
        int("no answer")
    listed(catalog)

    assert catalog._last_event == {}
    assert catalog._open_readings == []


NUMBERS = st.integers(1, 3)


class Interleavings(RuleBasedStateMachine):
    """An engine whose containers live and die while readings of it are under way."""

    def __init__(self) -> None:
        super().__init__()
        self.catalog = Catalog()
        self.truth: dict[str, Container] = {}
        self.known: dict[str, Container | None] = {}
        self.stack = ExitStack()
        self.readings: list[tuple[ExitStack, Moment, str | None, list[Container]]] = []
        self.dead: set[str] = set()
        self.versions = 0

    def teardown(self) -> None:
        """Whatever happened: one fresh list, and the catalog is the truth."""
        while self.readings:
            self.answer(0)
        with self.catalog.reading() as moment:
            self.take(self.catalog.replace(list(self.truth.values()), moment))
        assert dict(self.catalog.containers) == self.truth
        told = {id_: one for id_, one in self.known.items() if one is not None}
        assert told == self.truth

    def take(self, changes: dict[str, Container | None]) -> None:
        """Remember what the sink was told."""
        self.known |= changes

    @rule(number=NUMBERS)
    def start_or_change(self, number: int) -> None:
        """A container starts, or something about it changes; its event is seen."""
        self.versions += 1
        one = container(number, labels={"version": str(self.versions)})
        self.truth[one.id] = one
        self.dead.discard(one.id)
        self.catalog.note_event(one.id)

    @rule(number=NUMBERS)
    def change_unseen(self, number: int) -> None:
        """The same, but its event is lost."""
        self.versions += 1
        one = container(number, labels={"version": str(self.versions)})
        if one.id in self.truth:
            self.truth[one.id] = one

    @rule(number=NUMBERS)
    def die(self, number: int) -> None:
        """A container dies, and its event is seen."""
        one = container(number)
        self.truth.pop(one.id, None)
        self.catalog.note_event(one.id)
        self.take(self.catalog.note_gone(one.id))
        self.dead.add(one.id)

    @precondition(lambda self: len(self.readings) < 4)
    @rule(number=st.none() | NUMBERS)
    def ask(self, number: int | None) -> None:
        """A list (or an inspect) begins: it will show what is true now."""
        stack = ExitStack()
        moment = stack.enter_context(self.catalog.reading())
        container_id = None if number is None else container(number).id
        self.readings.append((stack, moment, container_id, list(self.truth.values())))

    @precondition(lambda self: self.readings)
    @rule(which=st.integers(0, 3))
    def answer(self, which: int) -> None:
        """One of the readings under way is answered, in any order."""
        stack, moment, asked, found = self.readings.pop(which % len(self.readings))
        with stack:
            if asked is None:
                self.take(self.catalog.replace(found, moment))
                return
            for one in found:
                if one.id == asked:
                    self.take(self.catalog.put(one, moment))

    @invariant()
    def nobody_rises_from_the_dead(self) -> None:
        """A container whose death was seen stays out until it is seen to start."""
        assert not self.dead & set(self.catalog.containers)

    @invariant()
    def who_listens_knows_what_the_catalog_knows(self) -> None:
        """The changes told add up to the catalog."""
        told = {id_: one for id_, one in self.known.items() if one is not None}
        assert told == dict(self.catalog.containers)


test_interleavings = Interleavings.TestCase
