"""What differs between two tables of the map, and what is told of one slot."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, strategies as st
from tests.fakes.containers import free_slot

from reconciler.core.live import (
    Table,
    applied,
    difference,
    slot_fields,
    with_steady_date,
)
from reconciler.core.model import AdminState, Server, Tenant
from reconciler.core.view import Reading


TENANT = Tenant(container_id="a", container="web-1", service="web", project="demo")
USED = dataclasses.replace(
    free_slot(1, has_check=True),
    address="10.0.0.1",
    admin=AdminState.READY,
    is_up=True,
    last_change=100.0,
)
READING = Reading(sessions=2, check="L4OK", requests_per_second=7, is_up=False)

tables = st.dictionaries(
    st.sampled_from(["0/web/slot1", "0/web/slot2", "1/api/slot1"]),
    st.dictionaries(
        st.sampled_from(["state", "sessions", "check"]),
        st.one_of(st.integers(0, 3), st.sampled_from(["ready", "free"])),
        min_size=1,
    ),
)


@given(before=tables, after=tables)
def test_a_difference_makes_one_table_of_the_other(before: Table, after: Table) -> None:
    """Whatever the two are, applying it gives the second one."""
    assert applied(before, difference(before, after)) == after


@given(table=tables)
def test_equal_tables_do_not_differ(table: Table) -> None:
    """Nothing is told where nothing has changed."""
    assert not difference(table, applied(table, difference(table, table)))


def test_only_what_differs_is_told() -> None:
    """Of a row that is known only the fields that changed; null for one that is no more."""
    before: Table = {
        "a": {"state": "ready", "sessions": 1, "check": "L4OK"},
        "b": {"state": "x"},
    }
    after: Table = {"a": {"state": "ready", "sessions": 2}, "c": {"state": "free"}}
    found = difference(before, after)

    assert found.changed == {
        "a": {"sessions": 2, "check": None},
        "c": {"state": "free"},
    }
    assert found.gone == ["b"]


def test_a_slot_is_told_with_its_statistics_and_its_tenant() -> None:
    """The names are those of the contract; its date is in Unix seconds."""
    assert slot_fields(USED, READING, TENANT, epoch=1000.0) == {
        "state": "down",  # the reading is younger than the table
        "address": "10.0.0.1",
        "port": 8000,
        "weight": 1,
        "sessions": 2,
        "requests_per_second": 7,
        "check": "L4OK",
        "container": "web-1",
        "container_id": "a",
        "service": "web",
        "project": "demo",
        "since": 1100,
    }


def test_a_free_slot_is_a_few_bytes() -> None:
    """Nothing is said of an address that stands for nobody."""
    told = slot_fields(free_slot(1), Reading(check="L4OK"), TENANT, epoch=0.0)

    assert told == {"state": "free", "weight": 1}


@pytest.mark.parametrize(
    ("admin", "weight", "is_held"),
    [(AdminState.DRAIN, 1, True), (AdminState.DRAIN, 0, False)],
)
def test_a_hold_is_told(admin: AdminState, weight: int, *, is_held: bool) -> None:
    """An operator's hold kept its weight; a drain of ours has none, and its own date."""
    server: Server = dataclasses.replace(
        USED, admin=admin, weight=weight, out_since=50.0
    )
    told = slot_fields(server, None, TENANT, epoch=0.0)

    assert told.get("held", False) is is_held
    assert told["since"] == 50


@pytest.mark.parametrize(
    ("state", "since", "expected"),
    [("ready", 102, 100), ("ready", 103, 103), ("drain", 101, 101)],
)
def test_a_date_stays_while_it_is_the_same(
    state: str, since: int, expected: int
) -> None:
    """HAProxy rounds to seconds: what differs by less is no change; another state is."""
    before = {"state": "ready", "since": 100}
    told = with_steady_date({"state": state, "since": since}, before)

    assert told["since"] == expected
