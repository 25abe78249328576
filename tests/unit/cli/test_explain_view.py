"""The story of ``explain``, for containers and for slots."""

from __future__ import annotations

import dataclasses

import pytest
from tests.fakes.containers import container, free_slot
from tests.support.snapshots import require_snapshot
from tests.unit.cli.test_plan_view import A, B, home, world

from reconciler.cli.explain import nobody_called, tell_container, tell_slot
from reconciler.core.model import AdminState, Container
from reconciler.inquiry import World


PLACED = world({A: [home(1, "10.0.0.1"), free_slot(2)]}, container())
BAD_PORT = container(2, labels={"haproxy.port": "http", "haproxy.drain": "1w"})
HELD = dataclasses.replace(home(1, "10.0.0.1"), admin=AdminState.DRAIN)


@pytest.mark.parametrize(
    ("name", "one", "where"),
    [
        ("explain-placed", container(), PLACED),
        ("explain-bad-labels", BAD_PORT, world({A: [free_slot(1)]}, BAD_PORT)),
        ("explain-stopped", container(3, is_running=False, networks=[]), PLACED),
        (
            "explain-in-two-haproxies",
            container(),
            world({A: [HELD], B: [home(1, "10.0.0.9")]}, container(9), container()),
        ),
    ],
)
def test_a_container(
    capsys: pytest.CaptureFixture[str], name: str, one: Container, where: World
) -> None:
    """The answer first, then every rule with all that was tried."""
    tell_container(where, one, as_json=False)

    require_snapshot(name, capsys.readouterr().out)


@pytest.mark.parametrize(
    ("name", "target", "where"),
    [
        ("explain-slot-free", "web/slot2", PLACED),
        ("explain-slot-held", "web/slot1", world({A: [HELD], B: [HELD]}, container())),
    ],
)
def test_a_slot(
    capsys: pytest.CaptureFixture[str], name: str, target: str, where: World
) -> None:
    """Who lives there and why it is so, for each HAProxy."""
    tell_slot(where, target, as_json=False)

    require_snapshot(name, capsys.readouterr().out)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (
            "web/slot9",
            'no haproxy has a server "web/slot9": backend web has slot1 to slot2',
        ),
        ("wbe/slot1", 'no haproxy has a server "wbe/slot1": did you mean web?'),
        ("db/\x1b[2J", 'server "db/\\x1b[2J": see `reconciler slots --all`'),
    ],
)
def test_a_slot_that_is_not_there(
    capsys: pytest.CaptureFixture[str], target: str, words: str
) -> None:
    """Exit 1, with what there is, or what may have been meant."""
    with pytest.raises(SystemExit) as ended:
        tell_slot(PLACED, target, as_json=False)

    assert ended.value.code == 1
    assert words in capsys.readouterr().err


def test_a_server_that_is_no_slot(capsys: pytest.CaptureFixture[str]) -> None:
    """It is the operator's own."""
    own = dataclasses.replace(home(1, "10.0.0.1"), ref=free_slot(1, prefix="db").ref)
    with pytest.raises(SystemExit):
        tell_slot(world({A: [own]}), "web/db1", as_json=False)

    assert "web/db1 is no slot: those are named slot1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("web1", "did you mean web-1?"),
        ("WEB", "did you mean web-1?"),
        ("nothing-like-it", "see `docker ps -a`"),
        ("x\n", 'no container "x\\n"'),
    ],
)
def test_a_container_that_is_not_there(name: str, words: str) -> None:
    """The closest names, or where to look."""
    assert words in nobody_called(PLACED, name)
