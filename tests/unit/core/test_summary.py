"""How full every backend is."""

from __future__ import annotations

from tests.unit.cli.maps import MIXED, A, B, free, left_out, slot

from reconciler.core.summary import Summary, summaries


def test_every_slot_is_counted_once() -> None:
    """By its state; holds are counted beside their states."""
    [found] = summaries(MIXED, [(A, left_out("x")), (B, left_out("y"))])

    assert found == Summary(
        haproxy=A,
        backend="web",
        slots=8,
        free=2,
        ready=2,
        drain=2,
        maint=1,
        down=1,
        held=2,
        unplaced=1,
    )
    assert (found.used, found.head_room) == (6, 0.25)


def test_backends_and_haproxies_are_apart() -> None:
    """In the order of the rows; who has no slot in an unknown backend counts nowhere."""
    rows = [slot(1), free(1, backend="api"), slot(1, haproxy=B)]

    found = summaries(rows, [(A, left_out("x", "nowhere")), (A, left_out("y", None))])

    assert [(one.haproxy, one.backend, one.used) for one in found] == [
        (A, "web", 1),
        (A, "api", 0),
        (B, "web", 1),
    ]
    assert [one.unplaced for one in found] == [0, 0, 0]
    assert [one.head_room for one in found] == [0.0, 1.0, 0.0]


def test_nothing_has_no_summary() -> None:
    """No rows, no backends."""
    assert summaries([], []) == []
