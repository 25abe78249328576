"""The options of slots, without anything to talk to."""

from __future__ import annotations

import pytest
from tests.unit.cli.conftest import Reconciler


@pytest.mark.parametrize(
    "arguments",
    [
        ("--state", "down", "--state", "held"),
        ("--sort", "-age"),
        ("--sort=container", "--reverse"),
        ("--wide", "--all"),
        ("--backend", "web", "--backend", "api"),
    ],
)
def test_right_usage(reconciler: Reconciler, arguments: tuple[str, ...]) -> None:
    """It is understood, and fails only on a HAProxy that is not there."""
    done = reconciler("slots", *arguments)

    assert done.code == 1
    assert "it does not exist; is haproxy running" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--state", "up"), "'up' is not one of 'free', 'ready', 'drain', 'maint'"),
        (("--sort", "name"), "'name' is not one of 'slot', '-slot'"),
        (("--watch", "0"), "0.1<=x<=3600"),
        (("--watch", "soon"), "not a valid float"),
    ],
)
def test_wrong_usage(
    reconciler: Reconciler, arguments: tuple[str, ...], words: str
) -> None:
    """Exit 2, with what is accepted."""
    done = reconciler("slots", *arguments)

    assert (done.code, done.stdout) == (2, "")
    assert words in done.stderr
