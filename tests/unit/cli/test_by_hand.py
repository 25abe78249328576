"""What a hold is made of, and how the commands for it are called."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tests.fakes.containers import free_slot
from tests.unit.cli.conftest import Reconciler

from reconciler.core.model import (
    Action,
    AdminState,
    Endpoint,
    Server,
    ServerRef,
    SetHealthDown,
    SetState,
    SetWeight,
    Tenant,
)
from reconciler.errors import HandError
from reconciler.hand import Place, actions


REF = ServerRef("web", "slot1")
READY, DRAIN, MAINT = AdminState.READY, AdminState.DRAIN, AdminState.MAINT
WEB1 = Tenant(container_id="a" * 64, container="web-1")
HANDS = ("drain", "ready", "maint")


def place(
    admin: AdminState,
    weight: int,
    *,
    has_check: bool = False,
    label: int | None = None,
    is_healthy: bool = False,
    is_known: bool = True,
) -> Place:
    """Return an occupied slot in that state; its template's weight is 7."""
    server: Server = dataclasses.replace(
        free_slot(1, has_check=has_check),
        address="10.0.0.1",
        admin=admin,
        weight=weight,
        initial_weight=7,
    )
    endpoint = Endpoint(
        backend="web",
        address="10.0.0.1",
        port=8000,
        tenant=WEB1,
        weight=label,
        is_healthy=is_healthy,
    )
    return Place(
        haproxy="unix:///a",
        server=server,
        tenant=WEB1 if is_known else None,
        endpoint=endpoint if is_known else None,
    )


@pytest.mark.parametrize("wanted", [DRAIN, MAINT])
@pytest.mark.parametrize(
    ("one", "weight"),
    [
        pytest.param(place(READY, 7), None, id="in-rotation"),
        pytest.param(place(READY, 0), 7, id="ready-at-weight-0"),
        pytest.param(place(READY, 0, label=3), 3, id="its-labels-weight"),
        pytest.param(place(READY, 3, label=0), None, id="a-weight-by-hand"),
        pytest.param(place(READY, 0, is_known=False), 7, id="nobody-known"),
    ],
)
def test_a_hold_is_a_state_with_a_weight(
    one: Place, weight: int | None, wanted: AdminState
) -> None:
    """The state first, and a weight above 0 last: the sign of an operator."""
    expected: list[Action] = [SetState(REF, wanted)]
    if weight is not None:
        expected.append(SetWeight(REF, weight))

    assert actions(one, wanted) == expected


def test_a_drain_of_the_daemons_becomes_a_hold_by_its_weight() -> None:
    """It is drained already; only the sign is missing."""
    assert actions(place(DRAIN, 0), DRAIN) == [SetWeight(REF, 7)]
    assert actions(place(DRAIN, 0), MAINT) == [SetState(REF, MAINT), SetWeight(REF, 7)]
    assert actions(place(MAINT, 0), MAINT) == [SetWeight(REF, 7)]


@pytest.mark.parametrize("admin", [DRAIN, MAINT, READY])
def test_what_is_so_already_needs_nothing(admin: AdminState) -> None:
    """Saying it twice is saying it once."""
    assert actions(place(admin, 7), admin) == []


def test_a_hold_changes_into_another() -> None:
    """From drain to maint and back, with its weight."""
    assert actions(place(DRAIN, 7), MAINT) == [SetState(REF, MAINT)]
    assert actions(place(MAINT, 7), DRAIN) == [SetState(REF, DRAIN)]


@pytest.mark.parametrize("wanted", [DRAIN, MAINT])
def test_a_label_of_weight_0_cannot_be_held(wanted: AdminState) -> None:
    """A hold is a weight above 0, and the label says none."""
    with pytest.raises(
        HandError, match=r"web/slot1 \(web-1 10.0.0.1:8000\) has weight 0"
    ):
        actions(place(READY, 0, label=0), wanted)


def test_ready_after_a_drain_is_one_command() -> None:
    """Its check never stopped."""
    assert actions(place(DRAIN, 7, has_check=True), READY) == [SetState(REF, READY)]


def test_ready_after_maint_waits_for_the_check() -> None:
    """Weight 0 meanwhile, so that no request comes before; the weight it had comes last."""
    unchecked = actions(place(MAINT, 5), READY)
    checked = actions(place(MAINT, 5, has_check=True), READY)
    sound = place(MAINT, 5, has_check=True, is_healthy=True)
    healthy = actions(sound, READY)
    trusted = actions(dataclasses.replace(sound, trusts_healthcheck=True), READY)
    unknown = actions(place(MAINT, 5, has_check=True, is_known=False), READY)

    without = [SetWeight(REF, 0), SetState(REF, READY), SetWeight(REF, 5)]
    assert (unchecked, trusted) == (without, without)
    assert (
        checked == unknown == healthy == [*without[:2], SetHealthDown(REF), without[2]]
    )


@pytest.mark.parametrize("admin", [DRAIN, MAINT])
def test_what_the_daemon_took_out_is_not_put_back_by_hand(admin: AdminState) -> None:
    """It has its reasons, and explain tells them; of whoever lives there, or the slot."""
    with pytest.raises(HandError) as caught:
        actions(place(admin, 0), READY)
    assert "by the reconciler's own hand" in str(caught.value)
    assert "`reconciler explain web-1` says why" in str(caught.value)

    with pytest.raises(HandError, match="web/slot1"):
        actions(place(admin, 0, is_known=False), READY)


@pytest.mark.parametrize("command", HANDS)
def test_help_of_a_hand(reconciler: Reconciler, command: str) -> None:
    """TARGET, --wait with or without a number, --json, and the common options."""
    done = reconciler(command, "--help")

    assert done.code == 0
    words = " ".join(done.stdout.split())
    assert f"{command} [OPTIONS] TARGET" in words
    assert "--wait [SECONDS]" in words
    for part in ("--json", "--haproxy", "--docker", "BACKEND/SLOT, or a container's"):
        assert part in words
    assert "reconciler drain web-1 --wait 60 && docker stop web-1" in words or (
        command != "drain"
    )


@pytest.mark.parametrize("command", HANDS)
@pytest.mark.parametrize(
    "arguments",
    [
        ("web/slot1",),
        ("web/slot1", "--wait"),
        ("--wait", "web/slot1"),
        ("web/slot1", "--wait", "1"),
        ("--wait", "0.5", "web/slot1"),
        ("--wait=3", "web/slot1"),
        ("--json", "--wait", "--", "web/slot1"),
        ("--wait", "--json", "web/slot1"),
    ],
)
def test_wait_may_stand_anywhere_with_or_without_a_number(
    reconciler: Reconciler, tmp_path: Path, command: str, arguments: tuple[str, ...]
) -> None:
    """All of these are right, and fail on a HAProxy that is not there: exit 1."""
    done = reconciler(command, *arguments)

    assert (done.code, done.stdout) == (1, "")
    assert f"unix://{tmp_path}/no-haproxy.sock" in done.stderr
    assert "it does not exist; is haproxy running" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Missing argument 'TARGET'"),
        (("--wait",), "Missing argument 'TARGET'"),
        (("--wait", "5"), "Missing argument 'TARGET'"),
        (("web-1", "web-2"), "unexpected extra argument"),
        (("web-1", "--wait=-1"), "not in the range"),
        (("web-1", "--wait=soon"), "not a valid float"),
        (("web-1", "--never"), "No such option"),
    ],
)
@pytest.mark.parametrize("command", HANDS)
def test_wrong_usage_of_a_hand(
    reconciler: Reconciler, command: str, arguments: tuple[str, ...], words: str
) -> None:
    """Exit code 2, before anything is asked."""
    done = reconciler(command, *arguments)

    assert (done.code, done.stdout) == (2, "")
    assert words in done.stderr
