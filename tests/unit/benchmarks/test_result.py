"""The zero-loss table and what it is made of."""

from __future__ import annotations

from traffic.records import Failure, Record
from traffic.tally import Phase, by_phase
from zero_loss.result import Finding, most_processes, table
from zero_loss.watch import Sample, ready_in


PHASES = [Phase("steady", 0.0), Phase("scale", 10.0)]
PAGE = """# pxname,svname,status,weight
web,slot1,UP,1
web,slot2,DOWN 1/2,1
web,slot3,UP 1/2,1
web,sorry,no check,1
web,BACKEND,UP,3
echo,slot1,UP,1
"""


def test_ready_servers_are_those_of_one_backend() -> None:
    """Neither the backend's own row, nor its last resort, nor other backends count."""
    assert ready_in(PAGE, "web", "slot") == 2


def test_a_phase_shows_the_most_processes_seen_at_once() -> None:
    """An old process that lingers in between is not missed; no sample is no process."""
    samples = [Sample(at, 1, 1, count) for at, count in ((1, 2), (2, 4), (3, 2))]

    assert most_processes(PHASES, samples) == [4, 0]


def test_a_contender_that_did_not_run_has_its_reason_in_the_table() -> None:
    """The table says why instead of leaving a contender out."""
    lost = Record(11, 0, 0.1, is_kept=True, failure=Failure.RESET, status=0)
    tallies = by_phase([lost], PHASES)
    ran = Finding(contender="slots", title="", phases=PHASES, tallies=tallies)
    absent = Finding(contender="other", title="", not_run="no wheels")

    lines = table([ran, absent]).splitlines()

    assert lines[2].split() == [
        "slots",
        "scale",
        "0",
        "1",
        "1",
        "-",
        "-",
        "-",
        "1",
        "reset",
    ]
    assert lines[3].split() == [
        "slots",
        "total",
        "0",
        "1",
        "1",
        "-",
        "-",
        "-",
        "1",
        "reset",
    ]
    assert lines[4].startswith("other")
    assert lines[4].endswith("no wheels")
