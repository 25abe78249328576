"""The slot map as rows, and the contract of its JSON."""

from __future__ import annotations

import dataclasses

import pytest
from tests.fakes.containers import container, free_slot, static_server

from reconciler.core.desired import claims_of, tenant_of
from reconciler.core.model import (
    AdminState,
    Attachment,
    Cause,
    Endpoint,
    Server,
    ServerRef,
    Unplaced,
)
from reconciler.core.placement import Context
from reconciler.core.view import (
    Reading,
    Tenants,
    age_of,
    is_held,
    slot_map,
    slot_rows,
    state_of,
)


SLOT_KEYS = [
    "haproxy",
    "backend",
    "slot",
    "state",
    "address",
    "port",
    "weight",
    "sessions",
    "check",
    "container_id",
    "container",
    "service",
    "project",
    "held",
    "requests_per_second",
    "age_seconds",
]
UNPLACED_KEYS = [
    "haproxy",
    "backend",
    "container_id",
    "container",
    "service",
    "project",
    "address",
    "port",
    "reason",
]
FREE = free_slot(1, has_check=True)
LIVE = dataclasses.replace(
    free_slot(2, has_check=True),
    address="10.0.0.7",
    admin=AdminState.READY,
    is_up=True,
)
NOBODY = Tenants([], [])


@pytest.mark.parametrize(
    ("slot", "expected"),
    [
        pytest.param(FREE, "free", id="free"),
        pytest.param(LIVE, "ready", id="ready"),
        pytest.param(dataclasses.replace(LIVE, is_up=False), "down", id="down"),
        pytest.param(
            dataclasses.replace(LIVE, is_up=False, has_check=False),
            "ready",
            id="no-check",
        ),
        pytest.param(
            dataclasses.replace(LIVE, admin=AdminState.DRAIN, is_up=False),
            "drain",
            id="drain",
        ),
        pytest.param(
            dataclasses.replace(LIVE, admin=AdminState.MAINT), "maint", id="maint"
        ),
        pytest.param(
            dataclasses.replace(FREE, admin=AdminState.READY, is_up=True),
            "ready",
            id="ready-at-a-placeholder",
        ),
    ],
)
def test_state_in_one_word(slot: Server, expected: str) -> None:
    """The five words that people see."""
    assert state_of(slot) == expected


def test_rows_are_in_numeric_order_and_only_of_slots() -> None:
    """slot10 comes after slot9, and a static server is nowhere."""
    servers = [free_slot(10), static_server(), free_slot(9), static_server("slotx")]
    table = {server.ref.server: server for server in servers}

    rows = slot_rows("one", {"web": table}, prefix="slot", tenants=NOBODY)

    assert [row.slot for row in rows] == ["slot9", "slot10"]


def test_the_contract_of_slots_json() -> None:
    """Keys, their order, and null where nobody lives."""
    one = container(7)
    tenants = Tenants([one], [])
    readings = {
        LIVE.ref: Reading(sessions=3, check="L4OK", requests_per_second=7),
        FREE.ref: Reading(sessions=0, check="MAINT", requests_per_second=0),
    }
    dated = dataclasses.replace(LIVE, last_change=100.0)
    rows = slot_rows(
        "unix:///a",
        {"web": {"slot1": FREE, "slot2": dated}},
        prefix="slot",
        tenants=tenants,
        readings=readings,
        now=160.5,
    )
    left_out = Unplaced(
        backend="web",
        tenant=tenant_of(container(8)),
        cause=Cause.NO_SLOT,
        reason="full",
        address="10.0.0.8",
        port=8000,
    )

    shown = slot_map(rows, [("unix:///a", left_out)])

    assert list(shown) == ["slots", "unplaced"]
    free, live = shown["slots"]
    assert list(free) == SLOT_KEYS
    assert {key for key in SLOT_KEYS if free[key] is None} == {
        "address",
        "port",
        "check",
        "container_id",
        "container",
        "service",
        "project",
        "age_seconds",
    }
    assert list(live.values()) == [
        *("unix:///a", "web", "slot2", "ready", "10.0.0.7", 8000, 1, 3, "L4OK"),
        *(one.id, "web-7", "web", "demo", False, 7, 60),
    ]
    [row] = shown["unplaced"]
    assert [key for key in row if key != "cause"] == UNPLACED_KEYS
    assert row["cause"] == "no_slot"
    assert (row["address"], row["port"], row["reason"]) == ("10.0.0.8", 8000, "full")


def test_who_lives_at_an_address() -> None:
    """The endpoint of backend, address and port comes first, then the bare address."""
    shared = [Attachment(network="n", ipv4="10.0.0.7", ipv6="fd00::7")]
    first, second = container(1, networks=shared), container(2, networks=shared)
    [claim] = claims_of(first, Context())
    assert isinstance(claim.outcome, Endpoint)
    tenants = Tenants([first, second], [claim.outcome])

    def name_at(address: str, port: int) -> str | None:
        tenant = tenants.of(dataclasses.replace(LIVE, address=address, port=port))
        return tenant.container if tenant else None

    assert name_at("10.0.0.7", 8000) == "web-1"
    assert name_at("10.0.0.7", 1) == "web-2"
    assert name_at("fd00::7", 1) == "web-2"
    assert name_at("10.0.0.99", 8000) is None


def test_a_free_slot_has_no_tenant_whoever_has_its_placeholder() -> None:
    """Nobody is shown in a free slot, even if a container claims the placeholder."""
    odd = container(networks=[Attachment(network="n", ipv4="127.255.255.1")])

    [row] = slot_rows(
        "one", {"web": {"slot1": FREE}}, prefix="slot", tenants=Tenants([odd], [])
    )

    assert (row.container, row.address) == (None, None)
    assert row.backend == ServerRef("web", "slot1").backend


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"admin": AdminState.DRAIN}, True, id="drain"),
        pytest.param({"admin": AdminState.MAINT}, True, id="maint"),
        pytest.param({}, False, id="ready"),
        pytest.param({"weight": 0}, False, id="ready-at-weight-0"),
        pytest.param({"admin": AdminState.DRAIN, "weight": 0}, False, id="our-drain"),
        pytest.param({"admin": AdminState.MAINT, "weight": 0}, False, id="our-maint"),
        pytest.param(
            {"admin": AdminState.MAINT, "address": "127.255.255.1"}, False, id="free"
        ),
        pytest.param(
            {"admin": AdminState.DRAIN, "address": "127.255.255.254"},
            False,
            id="drained-with-nobody-in-it",
        ),
    ],
)
def test_held_is_out_of_rotation_with_its_weight(
    changes: dict[str, object], *, expected: bool
) -> None:
    """An operator's hold has a tenant and a weight; everything else is ours, or free."""
    slot = dataclasses.replace(LIVE, **changes)  # type: ignore[arg-type] # its fields

    assert is_held(slot) is expected
    [row] = slot_rows("one", {"web": {"slot2": slot}}, prefix="slot", tenants=NOBODY)
    assert row.held is expected


def test_a_readings_verdict_is_younger_than_the_servers() -> None:
    """Whether checks pass is taken from the statistics where they were read."""
    checked = dataclasses.replace(LIVE, has_check=True, is_up=True)

    assert state_of(checked, Reading(is_up=False)) == "down"
    assert state_of(dataclasses.replace(checked, is_up=False), Reading(is_up=True)) == (
        "ready"
    )
    assert state_of(checked, Reading()) == "ready"


def test_the_age_of_a_drain_is_since_it_left_rotation() -> None:
    """HAProxy's own date is that of the last change it dates; a drain is none, since 2.8."""
    ready = dataclasses.replace(LIVE, last_change=10.0)
    draining = dataclasses.replace(
        ready, admin=AdminState.DRAIN, out_since=70.0, weight=0
    )

    assert age_of(ready, 100.0) == 90
    assert age_of(draining, 100.0) == 30
    assert age_of(dataclasses.replace(draining, out_since=None), 100.0) is None
    assert age_of(ready, 5.0) == 0
