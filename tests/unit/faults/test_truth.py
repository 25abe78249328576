"""The one function that says what HAProxy's table must be, and how a table differs."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.faults import expected
from tests.faults.truth import OWN, housed
from tests.scripted_engine import ScriptedEngine
from tests.support.slots import Row


FREE = Row("127.255.255.1", 8000, 0x05, 1)
READY, DRAIN, MAINT = 0x04, 0x0C, 0x05


def at(address: str, admin: int = READY, weight: int = 1) -> Row:
    """Return a slot with a tenant."""
    return Row(address, 8000, admin, weight)


@pytest.fixture
def engine() -> ScriptedEngine:
    """An engine that serves nobody: only its containers count."""
    return ScriptedEngine(Path("nowhere.sock"))


def test_running_containers_are_ready(engine: ScriptedEngine) -> None:
    """Running, not paused, attached, and not without a verdict: all others are nowhere."""
    good = engine.run("good")
    checked = engine.run("checked", health="healthy")
    engine.stop(engine.run("stopped"))
    engine.pause(engine.run("paused"))
    engine.disconnect(engine.run("alone"), "demo_default")
    engine.run("starting", health="starting")
    engine.create("created")
    engine.signal("good", 1)

    truth = expected(engine)

    assert truth.ready == {good.address, checked.address}
    assert not truth.drained | truth.perhaps_out


def test_the_sick_and_the_stopping_get_nothing_new(engine: ScriptedEngine) -> None:
    """Who certainly had a slot keeps it, out; of the others nobody can tell."""
    kept = engine.run("kept", health="unhealthy")
    new = engine.run("new", health="unhealthy")
    going = engine.run("going")

    truth = expected(engine, keepers={kept.id, going.id}, stopping={"going"})

    assert truth.drained == {kept.address, going.address}
    assert truth.perhaps_out == {new.address}
    assert not truth.ready


def test_who_may_not_be_known_to_stop_is_in_or_out(engine: ScriptedEngine) -> None:
    """Only an event tells of a stop signal: where it may be lost, both are right."""
    one = engine.run("going")

    truth = expected(engine, keepers={one.id}, stopping={"going"}, unsure={"going"})

    assert truth.unsure == {one.address}
    assert truth.differences({"slot1": at(one.address)}) == []
    assert truth.differences({"slot1": at(one.address, MAINT, 0)}) == []
    assert truth.differences({"slot1": at(one.address, MAINT, 1)}) != []


def test_who_keeps_a_slot_was_in_rotation(engine: ScriptedEngine) -> None:
    """By whichever address; a slot whose container is frozen is nobody's to keep."""
    ready, drained, frozen = (
        engine.run(name) for name in ("ready", "drained", "frozen")
    )
    engine.connect(engine.run("twice"), "mon")
    engine.pause(frozen)
    slots = {
        "slot1": at(ready.address),
        "slot2": at(drained.address, MAINT, 0),
        "slot3": at(engine.find("twice").networks["mon"].ipv4),
        "slot4": at(frozen.address),
        "slot5": FREE,
    }

    assert housed(engine, slots) == {ready.id, drained.id, engine.find("twice").id}


def test_with_two_networks_who_had_a_slot_keeps_it(engine: ScriptedEngine) -> None:
    """At either address; a newcomer may be nowhere, unless one of them is the reconciler's."""
    old, new = engine.run("old"), engine.run("new")
    for one in (old, new):
        engine.connect(one, "mon")
    second = old.networks["mon"].ipv4

    truth = expected(engine, keepers={old.id})
    assert truth.ready == {old.address}
    assert truth.unsure == {new.address}
    assert truth.differences({"slot1": at(second)}) == []
    assert len(truth.differences({"slot1": at(second), "slot2": at(old.address)})) == 1
    assert truth.differences({"slot1": FREE}) == [f"{old.address} has no slot"]
    not_long = expected(engine, keepers={old.id}, settled=())
    assert not_long.unsure == {old.address, new.address}
    assert expected(engine, own_networks={"mon"}).ready == {old.address, new.address}


def test_a_one_off_has_no_slot(engine: ScriptedEngine) -> None:
    """Nor has the reconciler's own container."""
    engine.run("shell", labels={"com.docker.compose.oneoff": "True"})
    engine.run(OWN)

    assert not expected(engine).ready


def test_every_way_a_table_can_be_wrong(engine: ScriptedEngine) -> None:
    """Each is one line; the right table has none."""
    one = engine.run("one").address
    sick = engine.run("sick", health="unhealthy")
    perhaps = engine.run("perhaps", health="unhealthy").address
    truth = expected(engine, keepers={sick.id})
    right = {"slot1": at(one), "slot2": at(sick.address, MAINT, 0), "slot3": FREE}

    assert truth.differences(right) == []
    assert truth.differences({**right, "slot4": at(perhaps, MAINT, 0)}) == []
    for name, row in (
        ("slot3", FREE._replace(admin=READY)),
        ("slot1", at(one, MAINT)),
        ("slot1", at(one, DRAIN, 0)),
        ("slot1", at(one, weight=0)),
        ("slot2", at(sick.address)),
        ("slot2", at(sick.address, MAINT, 1)),
        ("slot2", at(sick.address, DRAIN, 0)),
        ("slot2", FREE),
        ("slot3", at(one)),
        ("slot3", at(perhaps)),
        ("slot3", at("127.10.9.9", MAINT, 0)),
    ):
        assert len(truth.differences({**right, name: row})) == 1, (name, row)
