"""Who lives in a slot, and why it is in its state."""

from __future__ import annotations

import dataclasses

import pytest
from tests.fakes.containers import container, free_slot

from reconciler.core.desired import tenant_of
from reconciler.core.model import (
    AdminState,
    Change,
    Endpoint,
    Rotation,
    Server,
    ServerRef,
)
from reconciler.core.slot_story import SlotPart, slot_steps, slot_verdict
from reconciler.core.view import Reading


TENANT = tenant_of(container())
REF = ServerRef("web", "slot1")


def server(
    admin: AdminState = AdminState.READY, weight: int = 1, *, is_up: bool = True
) -> Server:
    """Return an occupied slot with a check."""
    return dataclasses.replace(
        free_slot(1, has_check=True),
        address="10.0.0.1",
        admin=admin,
        weight=weight,
        is_up=is_up,
    )


def endpoint(
    rotation: Rotation = Rotation.READY, weight: int | None = None
) -> Endpoint:
    """Return who should be there."""
    return Endpoint(
        backend="web",
        address="10.0.0.1",
        port=8000,
        tenant=TENANT,
        rotation=rotation,
        weight=weight,
    )


def part(
    one: Server, desired: Endpoint | None = None, *, is_docker_known: bool = True
) -> SlotPart:
    """Return a slot as it is told of."""
    return SlotPart(
        haproxy="unix:///a",
        server=one,
        tenant=TENANT if desired else None,
        endpoint=desired,
        reading=Reading(sessions=3, check="L4CON"),
        is_docker_known=is_docker_known,
    )


@pytest.mark.parametrize(
    ("one", "words"),
    [
        pytest.param(part(free_slot(1)), "free: nobody lives here", id="free"),
        pytest.param(
            part(server(), endpoint()), "ready: web-1 lives here, weight 1", id="ready"
        ),
        pytest.param(
            part(server(weight=0), endpoint(weight=0)),
            "ready: web-1 lives here and gets nothing, at weight 0",
            id="weight-0",
        ),
        pytest.param(
            part(server(AdminState.DRAIN), endpoint()),
            "drain: an operator put web-1 in drain → `reconciler ready web/slot1` ends it",
            id="held",
        ),
        pytest.param(
            part(server(AdminState.MAINT, 5), endpoint(Rotation.DRAIN)),
            "maint: an operator put web-1 in maint → `reconciler ready web/slot1` ends it",
            id="held-comes-first",
        ),
        pytest.param(
            part(server(is_up=False), endpoint()),
            "down: HAProxy's check of web-1 does not pass (L4CON) → see what web-1 serves "
            "at 10.0.0.1 port 8000",
            id="down",
        ),
        pytest.param(
            part(server(AdminState.DRAIN, 0), endpoint(Rotation.STOP)),
            "drain: the stop signal of web-1 was sent: its sessions may end",
            id="stopping",
        ),
        pytest.param(
            part(server(AdminState.DRAIN, 0), endpoint(Rotation.DRAIN)),
            "drain: docker calls web-1 unhealthy → it is ready again when its HEALTHCHECK "
            "passes",
            id="unhealthy",
        ),
        pytest.param(
            part(server(AdminState.MAINT, 0), endpoint()),
            "drain: web-1 is out of rotation by the reconciler's own hand → the next pass "
            "mends it (is the daemon running?)",
            id="unfinished",
        ),
        pytest.param(
            part(server()),
            "ready: nobody desired lives here → the next pass mends it (is the daemon "
            "running?)",
            id="stray",
        ),
        pytest.param(
            part(server(), is_docker_known=False),
            "ready: nobody known lives here, weight 1",
            id="docker-is-away",
        ),
    ],
)
def test_the_verdict(one: SlotPart, words: str) -> None:
    """The state, why it is so, and what to do about it."""
    assert slot_verdict(one) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (200_000, "2 d")],
)
def test_since_when(seconds: int, words: str) -> None:
    """The age of the state, in a unit that can be read."""
    aged = dataclasses.replace(part(free_slot(1)), age_seconds=seconds)

    assert slot_verdict(aged) == f"free for {words}: nobody lives here"


def test_every_fact_has_its_step() -> None:
    """In order; what the next pass would do is the last of them."""
    change = Change("release", REF, "10.0.0.1", 8000, None, "its endpoint has gone")
    one = dataclasses.replace(part(server(AdminState.DRAIN)), changes=[change])

    steps = {step.rule: step for step in slot_steps(one)}

    assert list(steps) == [
        *("address", "tenant", "admin state", "weight", "check", "sessions"),
        "next pass",
    ]
    assert steps["admin state"].mend == "reconciler ready web/slot1"
    assert steps["sessions"].evidence == "3 open"
    assert steps["next pass"].why == "release: its endpoint has gone"


def test_without_docker_nothing_is_claimed_of_the_tenant() -> None:
    """It is not known who lives there, nor what a pass would do."""
    steps = {one.rule: one for one in slot_steps(part(server(), is_docker_known=False))}

    assert "docker cannot be read" in steps["tenant"].evidence
    assert "docker cannot be read" in steps["next pass"].evidence
