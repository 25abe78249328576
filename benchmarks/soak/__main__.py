"""Random churn under constant load for some minutes, and what it has left behind.

The demo's own Compose stack on a real engine: scaled, killed, paused, restarted at random,
and after nearly every step the map in HAProxy has to be right. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from soak.churn import Churn
from soak.vitals import Vitals
from tests.support.engine import ROOT, wait_until
from traffic.load import Load, LoadError, Target
from traffic.records import records_in
from traffic.stacks import Project, end_on_sigterm, found_engine
from traffic.table import COLUMNS, aligned, cells
from traffic.tally import Tally, by_phase, total


RESULTS = ROOT / "benchmarks" / "results" / "soak.json"
SERVICES = ("haproxy", "reconciler", "web", "probe")


PROCESS = ("Pid", "Start_time_sec")
"""What tells a process in ``show info``: a restarted container has the same pid."""


def _process(info: Mapping[str, str]) -> str:
    return " started at ".join(info[key] for key in PROCESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to."""

    steps: dict[str, int]
    tallies: Sequence[Tally]
    churn: Churn
    haproxy_before: dict[str, str]
    haproxy_after: dict[str, str]

    def verdicts(self) -> list[tuple[str, bool]]:
        """Return each thing that has to be so, as a sentence, and whether it is."""
        lives = self.churn.vitals.lives
        before, after = _process(self.haproxy_before), _process(self.haproxy_after)
        wrong = self.churn.not_converged
        return [
            (
                f"the map was right after every step: {'; '.join(wrong) or 'yes'}",
                not wrong,
            ),
            (
                f"HAProxy's process: {before} at the start, {after} at the end",
                before == after,
            ),
            (
                "the reconciler's open files: "
                + ", ".join(f"{one.first_files} -> {one.last_files}" for one in lives),
                not any(one.has_grown_files for one in lives),
            ),
            (
                "the reconciler's memory, kB: "
                + ", ".join(f"{one.first_kb} -> {one.last_kb}" for one in lives),
                not any(one.has_grown_memory for one in lives),
            ),
        ]

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "steps": self.steps,
            "slowest_convergence_seconds": self.churn.slowest,
            "phases": [tally.figures() for tally in self.tallies],
            "total": total(self.tallies).figures(),
            "reconciler": self.churn.vitals.document(),
            "haproxy": {
                name: {key: found[key] for key in (*PROCESS, "Uptime_sec")}
                for name, found in (
                    ("start", self.haproxy_before),
                    ("end", self.haproxy_after),
                )
            },
            "verdicts": dict(self.verdicts()),
        }


def outcome(options: argparse.Namespace, folder: Path) -> Outcome:
    """Put the stack up, churn it under load, take it down."""
    engine = found_engine()
    project = Project(engine, folder, SERVICES, purpose="soak")
    records = folder / "records"
    with project:
        wait_until(project.is_served, claim="the service is reached through HAProxy")
        churn = Churn(project, Vitals(project), random.Random(options.seed))
        before = project.show_info()
        host, port = project.front(8080)
        with Load(Target(host=host, port=port, rate=options.rate), records):
            churn.warm_up()
            churn.run(options.minutes * 60)
        after = project.show_info()
    tallies = by_phase(records_in(records), churn.phases)
    names = [phase.name for phase in churn.phases]
    return Outcome(
        steps={name: names.count(name) for name in dict.fromkeys(names)},
        tallies=by_name(tallies),
        churn=churn,
        haproxy_before=before,
        haproxy_after=after,
    )


def by_name(tallies: Sequence[Tally]) -> list[Tally]:
    """Return one tally for each kind of step."""
    found: dict[str, Tally] = {}
    for tally in tallies:
        found.setdefault(tally.name, Tally(tally.name)).add_all(tally)
    return list(found.values())


def show(found: Outcome) -> bool:
    """Print it; return whether everything is as it has to be."""
    rows = [("step", "times", "slowest s", *COLUMNS)]
    for tally in found.tallies:
        slowest = found.churn.slowest.get(tally.name)
        took = f"{slowest:.1f}" if slowest is not None else "-"
        rows.append((tally.name, str(found.steps[tally.name]), took, *cells(tally)))
    whole = total(found.tallies)
    rows.append(("total", str(sum(found.steps.values())), "", *cells(whole)))
    print(aligned(rows, words=(0,)))
    counts = sorted(found.churn.vitals.counts.items())
    print("\nreconciler: " + ", ".join(f"{name} {count}" for name, count in counts))
    judged = found.verdicts()
    for sentence, is_so in judged:
        print(f"{'good' if is_so else 'BAD'}: {sentence}")
    return all(is_so for _, is_so in judged)


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="benchmarks/soak", description=__doc__)
    add = parser.add_argument
    add("--minutes", type=float, default=5.0, help="how long (5)")
    add("--rate", type=float, default=500.0, help="requests a second (500)")
    add("--seed", type=int, help="repeat the steps of another run")
    add("--strict", action="store_true", help="end with 1 if anything is bad")
    add("--output", type=Path, default=RESULTS, help="where the JSON goes")
    options = parser.parse_args()
    if not 0 < options.minutes <= 180:
        parser.error("--minutes is between 0 and 180")
    if not 0 < options.rate <= 5000:
        parser.error("--rate is between 0 and 5000")
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(10**6)
    return options


def main() -> int:
    """Run it: 0, or 1 if strict and something is bad, 2 if it could not run."""
    options = parsed()
    end_on_sigterm()
    print(f"--seed {options.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        found = outcome(options, folder)
    except (AssertionError, LoadError, OSError) as error:
        print(f"benchmarks/soak failed: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ended by hand; everything is taken down", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    is_good = show(found)
    measured_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    document = {
        "measured_at": measured_at,
        "minutes": options.minutes,
        "rate": options.rate,
        "seed": options.seed,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document | found.document(), indent=1) + "\n"
    options.output.write_text(text, encoding="utf-8")
    return 1 if options.strict and not is_good else 0


if __name__ == "__main__":
    sys.exit(main())
