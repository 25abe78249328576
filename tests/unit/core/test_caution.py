"""While Docker does not answer: unknown tenants stay, and nobody is placed by memory alone."""

from __future__ import annotations

from dataclasses import replace

from tests.fakes.containers import container, tables

from reconciler.core.caution import sure_claims, sure_tables
from reconciler.core.desired import claims_of
from reconciler.core.model import AdminState, Container, Place, Server
from reconciler.core.placement import Context


KNOWN, OTHER = container(1), container(2)
CLAIMS = claims_of(KNOWN, Context())


def place(one: Container) -> Place:
    """Return where a container is."""
    return one.networks[0].ipv4, 8000


def lived_in(*tenants: Container) -> dict[str, dict[str, Server]]:
    """Return a backend whose first slots have these tenants."""
    found = tables(4)
    for number, one in enumerate(tenants, 1):
        name = f"slot{number}"
        found["web"][name] = replace(
            found["web"][name], address=place(one)[0], admin=AdminState.READY
        )
    return found


def slots(found: dict[str, dict[str, Server]]) -> list[str]:
    """Return the names of the slots of a backend."""
    return sorted(name for name in found["web"] if name.startswith("slot"))


def test_a_slot_of_an_unknown_tenant_is_left_out() -> None:
    """Another reconciler may have placed who started meanwhile; free slots stay in."""
    found = sure_tables(lived_in(KNOWN, OTHER), CLAIMS, {})
    assert slots(found) == ["slot1", "slot3", "slot4"]


def test_who_ended_by_an_event_is_planned_for() -> None:
    """That is known for sure, whatever else is not."""
    found = sure_tables(lived_in(KNOWN, OTHER), CLAIMS, {"web": {place(OTHER)}})
    assert slots(found) == ["slot1", "slot2", "slot3", "slot4"]


def test_who_has_a_slot_is_planned_for_and_who_has_none_is_not() -> None:
    """It may have ended, and lost its slot for that; unless it was just heard of."""
    assert sure_claims(lived_in(KNOWN), CLAIMS, {}) == list(CLAIMS)
    assert sure_claims(lived_in(), CLAIMS, {}) == []
    assert sure_claims(lived_in(), CLAIMS, {"web": {place(KNOWN)}}) == list(CLAIMS)


def test_who_is_about_to_end_is_planned_for() -> None:
    """It gets no slot by that."""
    leaving = claims_of(replace(KNOWN, is_stopping=True), Context())
    assert sure_claims(lived_in(), leaving, {}) == list(leaving)
