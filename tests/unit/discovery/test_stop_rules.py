"""How a container is stopped: read from an inspect, and kept where lists do not tell."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from tests.fakes.containers import container
from tests.scripted_engine import Control
from tests.scripted_engine.views import inspect

from reconciler.core.model import Container, Health, StopRule
from reconciler.discovery.catalog import Catalog
from reconciler.discovery.inspect import (
    container_from_inspect,
    event_from,
    signal_number,
)


RULE = StopRule(3, 20.0)
LISTED, TWO = container(1), container(2)
INSPECTED = dataclasses.replace(LISTED, stop=RULE)
STOPPING = dataclasses.replace(LISTED, is_stopping=True)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("15", 15),
        ("9", 9),
        ("SIGTERM", 15),
        ("TERM", 15),
        ("sigquit", 3),
        ("Winch", 28),
        ("SIGRTMIN", 34),
        ("SIGRTMIN+3", 37),
        ("rtmin+15", 49),
        ("SIGRTMAX", 64),
        ("RTMAX-1", 63),
    ],
)
def test_a_signal_as_docker_writes_it(text: str, number: int) -> None:
    """A number or a name, with SIG or without, in any case; real-time ones too."""
    assert signal_number(text) == number


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "SIG", "SIGNOTHING", "-1", "1.5", "TERM ", "RTMIN+", "RTMIN+999"),
        *("SIGRTMIN 3", "٣", "x" * 100_000, "SIG_IGN", "__class__"),
    ],
    ids=range(14),
)
def test_what_is_no_signal(text: str) -> None:
    """None, and no error."""
    assert signal_number(text) is None


@pytest.mark.parametrize(
    ("config", "rule"),
    [
        ({}, StopRule(15, 10.0)),
        ({"StopSignal": "", "StopTimeout": None}, StopRule(15, 10.0)),
        ({"StopSignal": "SIGQUIT", "StopTimeout": 60}, StopRule(3, 60.0)),
        ({"StopSignal": "SIGRTMIN+3", "StopTimeout": 0}, StopRule(37, 0.0)),
        ({"StopSignal": "nonsense"}, StopRule(15, 10.0)),
        ({"StopSignal": 3}, StopRule(3, 10.0)),
        ({"StopTimeout": -1}, StopRule(15, 86400.0)),
        ({"StopTimeout": True}, StopRule(15, 10.0)),
        ({"StopTimeout": "60"}, StopRule(15, 10.0)),
        ({"StopTimeout": 1.5}, StopRule(15, 10.0)),
    ],
)
def test_how_it_is_stopped(config: dict[str, Any], rule: StopRule) -> None:
    """As the inspect says, else Docker's own defaults; -1 is for ever."""
    found = container_from_inspect(
        {"Id": "1", "State": {"Status": "running"}, "Config": config}
    )

    assert found.stop == rule


def test_an_inspect_of_a_scripted_container_tells_it() -> None:
    """Both options, and both absent."""
    control = Control()
    given = control.run("web-1", stop_signal="SIGINT", stop_timeout=5)
    usual = control.run("web-2")

    assert _inspected(control, given).stop == StopRule(2, 5.0)
    assert _inspected(control, usual).stop == StopRule()


def _inspected(control: Control, one: Any) -> Container:  # noqa: ANN401 - a script's
    return container_from_inspect(inspect(one, control.networks))


@pytest.mark.parametrize(
    ("attributes", "number"),
    [({"signal": "15"}, 15), ({"signal": "SIGKILL"}, 9), ({}, None), (None, None)],
)
def test_a_kill_tells_its_signal(attributes: object, number: int | None) -> None:
    """By number, as the engine writes it, or by name; or not at all."""
    found = event_from(
        {
            "Type": "container",
            "Action": "kill",
            "Actor": {"ID": "1", "Attributes": attributes},
        }
    )

    assert found is not None
    assert found.signal == number


def put(catalog: Catalog, one: Container) -> dict[str, Container | None]:
    """Take in an inspect that nothing overtakes."""
    with catalog.reading() as moment:
        return catalog.put(one, moment)


def listed(catalog: Catalog, *containers: Container) -> dict[str, Container | None]:
    """Read a list that nothing overtakes."""
    with catalog.reading() as moment:
        return catalog.replace(containers, moment)


def test_a_rule_is_learned_by_an_inspect_and_kept_by_lists() -> None:
    """Who was only listed is unlearned; learning it is no change."""
    catalog = Catalog()
    listed(catalog, LISTED, TWO)
    assert catalog.unlearned() == [LISTED.id, TWO.id]
    assert catalog.stop_rule(LISTED.id) is None

    assert put(catalog, INSPECTED) == {}
    assert listed(catalog, LISTED, TWO) == {}

    assert catalog.stop_rule(LISTED.id) == RULE
    assert catalog.unlearned() == [TWO.id]


def test_an_inspect_that_an_event_overtook_still_teaches() -> None:
    """How it stops never changes, whatever else happened meanwhile."""
    catalog = Catalog()
    listed(catalog, LISTED)
    with catalog.reading() as moment:
        catalog.note_event(LISTED.id)
        assert catalog.put(INSPECTED, moment) == {}

    assert catalog.stop_rule(LISTED.id) == RULE


def test_rules_are_forgotten_with_their_containers() -> None:
    """A long life with many short containers does not grow the catalog."""
    catalog = Catalog()
    put(catalog, INSPECTED)
    catalog.note_gone(LISTED.id)
    listed(catalog, TWO)

    assert catalog._stop_rules == {}


def test_a_mark_lies_over_every_reading() -> None:
    """A list and an inspect tell of no stop, so they keep the mark; and change the rest."""
    catalog = Catalog()
    put(catalog, INSPECTED)

    marked = catalog.note_stopping(LISTED.id, is_stopping=True)
    assert marked == {LISTED.id: STOPPING}
    assert catalog.note_stopping(LISTED.id, is_stopping=True) == {}
    assert listed(catalog, LISTED) == {}
    assert put(catalog, INSPECTED) == {}

    sick = dataclasses.replace(LISTED, health=Health.UNHEALTHY)
    assert listed(catalog, sick) == {
        LISTED.id: dataclasses.replace(sick, is_stopping=True)
    }
    assert catalog.note_stopping(LISTED.id, is_stopping=False) == {LISTED.id: sick}
    assert catalog.note_stopping(LISTED.id, is_stopping=False) == {}


def test_a_mark_does_not_outlive_its_container() -> None:
    """Who comes back under the same id is in rotation."""
    catalog = Catalog()
    put(catalog, INSPECTED)
    catalog.note_stopping(LISTED.id, is_stopping=True)
    catalog.note_gone(LISTED.id)

    assert put(catalog, INSPECTED) == {LISTED.id: LISTED}


def test_nobody_unknown_is_marked() -> None:
    """A signal to a container that does not run here is of no concern."""
    catalog = Catalog()

    assert catalog.note_stopping(LISTED.id, is_stopping=True) == {}
    assert put(catalog, INSPECTED) == {LISTED.id: LISTED}
