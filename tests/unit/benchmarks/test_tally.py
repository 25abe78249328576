"""Figures of the load: each request in its phase, quantiles that were measured."""

from __future__ import annotations

from pathlib import Path

from traffic.records import Failure, Record, records_in
from traffic.tally import Phase, by_phase, failures_over_time, percentile, total


def record(
    due: float, failure: Failure = Failure.NONE, *, status: int = 200, took: float = 0.5
) -> Record:
    """Return a request on a new connection; times that a file keeps exactly."""
    return Record(due, 0.25, took, is_kept=False, failure=failure, status=status)


PHASES = [Phase("steady", 10.0), Phase("scale up", 20.0)]


def test_a_request_belongs_to_the_phase_in_which_it_was_due() -> None:
    """Even one that timed out in a later phase counts where it was sent."""
    lost = record(19.9, Failure.TIMED_OUT, status=0, took=10.0)

    steady, scale_up = by_phase([record(10.0), lost, record(20.0)], PHASES)

    assert (steady.sent, steady.failed, dict(steady.causes)) == (2, 1, {"timed out": 1})
    assert (scale_up.sent, scale_up.failed) == (1, 0)


def test_a_status_is_counted_by_its_number() -> None:
    """A wrong status is named as such; failures have no latency."""
    seen = [record(11, Failure.STATUS, status=503), record(12), record(21)]

    whole = total(by_phase(seen, PHASES))

    assert whole.figures() == {
        "phase": "total",
        "sent": 3,
        "failed": 1,
        "causes": {"503": 1},
        "failed_by_connection": {"new": 1},
        "to_stopping": 0,
        "latency_ms": {"p50": 500.0, "p99": 500.0, "max": 500.0},
        "generator_late_ms": {"p50": 250.0, "p99": 250.0, "max": 250.0},
    }


def test_a_phase_without_an_answer_has_no_latency() -> None:
    """Nothing is made up where nothing was measured."""
    (tally,) = by_phase([record(1, Failure.RESET)], [Phase("only", 0.0)])

    assert tally.figures()["latency_ms"] is None


def test_a_percentile_is_a_value_that_was_measured() -> None:
    """The nearest rank is taken, also at both ends."""
    values = [float(number) for number in range(1, 101)]

    assert [percentile(values, p) for p in (0, 1, 50, 99, 100)] == [1, 1, 50, 99, 100]
    assert percentile([7.0], 50) == 7.0


def test_failures_are_put_into_bins() -> None:
    """Each cause has its own line, and only bins in which something was lost."""
    lost = [record(due, Failure.RESET) for due in (10.1, 10.4, 12.6)]

    bins = failures_over_time([*lost, record(11)], start=10.0, bin_seconds=0.5)

    assert bins == {"reset": [(0.0, 2), (2.5, 1)]}


def test_records_come_back_from_their_file(tmp_path: Path) -> None:
    """What is written is read, and a record that was cut off is left out."""
    path = tmp_path / "records"
    seen = [record(1.5), record(2.5, Failure.STATUS, status=503)]
    path.write_bytes(b"".join(one.packed() for one in seen) + b"cut")

    assert list(records_in(path)) == seen
