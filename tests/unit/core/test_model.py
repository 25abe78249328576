"""The values: addresses in one spelling, placeholders, releases; and what an action does."""

from __future__ import annotations

import dataclasses
import ipaddress

import pytest
from hypothesis import given, strategies as st
from tests.fakes.containers import container, free_slot, process, static_server

from reconciler.core.effect import server_after
from reconciler.core.model import (
    AdminState,
    ConfirmAddress,
    Plan,
    ServerRef,
    SetAddress,
    SetHealthDown,
    SetState,
    SetWeight,
    canonical_address,
    is_placeholder,
)


SLOT = free_slot(1, has_check=True)
REF = SLOT.ref


@given(st.ip_addresses())
def test_an_address_has_one_spelling(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """However an address is written, it comes out the same."""
    long = address.exploded.upper()

    assert canonical_address(long) == canonical_address(str(address)) == str(address)


@given(st.text())
def test_canonical_address_raises_only_value_error(text: str) -> None:
    """Any text is an address or a ValueError."""
    try:
        found = canonical_address(text)
    except ValueError:
        return
    assert canonical_address(found) == found


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("0.0.0.0", True),
        ("::", True),
        ("-", True),
        ("", True),
        ("127.255.255.1", True),
        ("127.255.255.254", True),
        ("127.255.254.1", False),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("fd00::1", False),
    ],
)
def test_placeholders(address: str, *, expected: bool) -> None:
    """Only these stand for nobody."""
    assert is_placeholder(address) is expected


@pytest.mark.parametrize(
    ("admin", "address", "expected"),
    [
        (AdminState.MAINT, "127.255.255.1", True),
        (AdminState.MAINT, "10.0.0.1", False),
        (AdminState.READY, "127.255.255.1", False),
        (AdminState.DRAIN, "0.0.0.0", False),
    ],
)
def test_free_means_maint_at_a_placeholder(
    admin: AdminState, address: str, *, expected: bool
) -> None:
    """One of the two is not enough."""
    slot = dataclasses.replace(SLOT, admin=admin, address=address)

    assert slot.is_free is expected


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2.6.12-1+deb12u4", (2, 6, 12)),
        ("3.5-dev5", (3, 5, 0)),
        ("3.0.11", (3, 0, 11)),
        ("odd", (0, 0, 0)),
        ("", (0, 0, 0)),
    ],
)
def test_release(version: str, expected: tuple[int, int, int]) -> None:
    """The numbers of a version, zeros where there are none."""
    assert process(version=version).release == expected


def test_a_compose_service_comes_before_a_swarm_service() -> None:
    """A container of both kinds goes by the Compose name."""
    one = container(labels={"com.docker.swarm.service.name": "swarmed"})

    assert (one.service, one.project) == ("web", "demo")


@pytest.mark.parametrize(
    ("action", "changed"),
    [
        (SetState(REF, AdminState.READY), {"admin": AdminState.READY, "is_up": True}),
        (SetState(REF, AdminState.DRAIN), {"admin": AdminState.DRAIN, "is_up": True}),
        (SetState(REF, AdminState.MAINT), {}),
        (SetWeight(REF, 0), {"weight": 0}),
        (SetAddress(REF, "10.0.0.1", 80), {"address": "10.0.0.1", "port": 80}),
        (SetAddress(REF, "10.0.0.1", None), {"address": "10.0.0.1"}),
        (ConfirmAddress(REF, "10.0.0.1", 80), {}),
        (SetHealthDown(REF), {}),
    ],
)
def test_what_an_action_does_to_a_free_slot(
    action: SetState | SetWeight | SetAddress | ConfirmAddress | SetHealthDown,
    changed: dict[str, object],
) -> None:
    """Exactly these fields change."""
    after = dataclasses.asdict(server_after(SLOT, action))

    assert after == dataclasses.asdict(SLOT) | changed


def test_a_down_server_stays_down_while_it_drains() -> None:
    """Only leaving maint brings a checked server up by itself."""
    down = server_after(
        server_after(SLOT, SetState(REF, AdminState.READY)), SetHealthDown(REF)
    )
    drained = server_after(down, SetState(REF, AdminState.DRAIN))

    assert drained.is_up is False
    assert server_after(drained, SetState(REF, AdminState.READY)).is_up is False


def test_maint_takes_a_server_down_and_dates_it() -> None:
    """A change of state carries the time it was made; the same state again does not."""
    after = server_after(
        static_server(), SetState(ServerRef("web", "sorry"), AdminState.MAINT), now=7.0
    )
    again = server_after(after, SetState(after.ref, AdminState.MAINT), now=9.0)

    assert (after.is_up, after.last_change, again) == (False, 7.0, after)


def test_a_plan_of_empty_phases_is_empty() -> None:
    """Phases count for what is in them."""
    assert Plan(phases=((), ())).is_empty
    assert not Plan(phases=((), (SetWeight(REF, 0),))).is_empty
