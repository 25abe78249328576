"""Count the requests that are lost while a service scales, rolls and is recreated.

The same timetable under the same constant load for each contender, one after the other, each
in a Compose project of its own on a real engine. See benchmarks/README.md for how to read
what comes out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path


sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.engine import ROOT, CommandError, Engine, wait_until
from traffic.load import Load, LoadError, Target
from traffic.stacks import Project, end_on_sigterm, found_engine
from zero_loss.contenders import CONTENDERS, Contender
from zero_loss.dns_config import ConfigError
from zero_loss.plot import draw
from zero_loss.result import Finding, table, tallied
from zero_loss.timetable import Timetable, Timing
from zero_loss.watch import Watch


RESULTS = ROOT / "benchmarks" / "results" / "zero_loss.json"
START_SECONDS = 60.0


def found(contender: Contender, engine: Engine, options: argparse.Namespace) -> Finding:
    """Run one contender; a finding says so where it cannot be run."""
    say(f"{contender.title} ...")
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        with contender.project(engine, folder) as project:
            return measured(contender, project, folder, options)
    except (AssertionError, LoadError, ConfigError, OSError) as error:
        say(f"{contender.name} cannot be run: {error}")
        return Finding(
            contender=contender.name,
            title=contender.title,
            not_run=" ".join(str(error).split())[-300:],
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measured(
    contender: Contender, project: Project, folder: Path, options: argparse.Namespace
) -> Finding:
    """Go through the timetable under load."""
    timing = timing_of(options)
    project.scale("web", timing.few)
    timetable = Timetable(project, timing)
    records = folder / "records"
    wait_until(
        project.is_served,
        claim="the service is reached through HAProxy",
        timeout_seconds=START_SECONDS,
    )
    watch = Watch(project, contender)
    wait_until(
        lambda: watch.ready() == timing.few,
        claim=f"{timing.few} servers are up",
        timeout_seconds=START_SECONDS,
    )
    host, port = project.front(contender.port)
    target = Target(
        host=host,
        port=port,
        rate=options.rate,
        path=options.path,
        visitors=contender.visitors,
    )
    before = watch.processes()
    # The generator's process first: a process should not be copied with its threads.
    with Load(target, records), watch:
        timetable.run(has_reconciler=contender.has_reconciler)
        after = watch.processes()
    tallies, failures = tallied(records, timetable.phases)
    return Finding(
        contender=contender.name,
        title=contender.title,
        phases=timetable.phases,
        tallies=tallies,
        samples=watch.samples,
        failures=failures,
        haproxy=fate(project, before, after),
        front=f"{host}:{port}",
    )


def fate(project: Project, before: frozenset[object], after: frozenset[object]) -> str:
    """Say what became of HAProxy's processes."""
    if not before:
        return "HAProxy's processes could not be seen (that takes root)"
    if before == after:
        pids = sorted(process.pid for process in after)
        return f"0 reloads, the same {len(after)} processes from start to end ({pids})"
    log = project.compose("logs", "--no-color", "haproxy")
    reloads = log.count("Reloading...")
    kept = len(before & after)
    return (
        f"{reloads} reloads, {len(before)} processes at the start, "
        f"{len(after)} at the end, {kept} of them the same"
    )


def timing_of(options: argparse.Namespace) -> Timing:
    """Return the durations that the options ask for."""
    timing = Timing(
        many=options.many,
        steady_seconds=options.steady,
        hold_seconds=options.hold,
        settle_seconds=options.settle,
    )
    return timing.quick() if options.quick else timing


def say(words: str) -> None:
    """Tell how far it is."""
    print(words, file=sys.stderr, flush=True)


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="benchmarks/zero_loss", description=__doc__)
    add = parser.add_argument
    timing = Timing()
    add("--contenders", default=",".join(CONTENDERS), help="which, by comma (all)")
    add("--rate", type=float, default=500.0, help="requests a second (500)")
    add("--path", default="/", help="what is asked for (/)")
    add("--many", type=int, default=timing.many, help="containers at most (20)")
    add("--steady", type=float, default=timing.steady_seconds, help="seconds (5)")
    add("--hold", type=float, default=timing.hold_seconds, help="after a change (8)")
    add("--settle", type=float, default=timing.settle_seconds, help="in rolling (2)")
    add("--quick", action="store_true", help="few containers, short holds")
    add("--strict", action="store_true", help="end with 1 if ours lost a request")
    add("--output", type=Path, default=RESULTS, help="where the JSON goes; PNG beside")
    options = parser.parse_args()
    options.contenders = options.contenders.split(",")
    if unknown := set(options.contenders) - set(CONTENDERS):
        parser.error(f"unknown contenders: {', '.join(sorted(unknown))}")
    if not 0 < options.rate <= 5000:
        parser.error("--rate is between 0 and 5000")
    return options


def write(findings: list[Finding], options: argparse.Namespace) -> None:
    """Write the JSON and the picture."""
    document = {
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg(),
        "rate": options.rate,
        "contenders": {one.contender: one.document() for one in findings},
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=1) + "\n"
    options.output.write_text(text, encoding="utf-8")
    try:
        draw(findings, options.output.with_suffix(".png"))
    except ImportError:
        say("no picture: matplotlib is missing (scripts/venv bench)")


def main() -> int:
    """Run the benchmark: 0, or 1 if strict and ours lost any, 2 if it did not run."""
    options = parsed()
    end_on_sigterm()
    try:
        engine = found_engine()
        findings = [
            found(CONTENDERS[one], engine, options) for one in options.contenders
        ]
    except CommandError as error:
        say(f"benchmarks/zero_loss failed: {error}")
        return 2
    except KeyboardInterrupt:
        say("ended by hand; everything is taken down")
        return 130
    print(table(findings))
    write(findings, options)
    ours = [one for one in findings if CONTENDERS[one.contender].has_reconciler]
    if any(one.not_run for one in ours):
        return 2
    is_lossy = any(one.whole.failed or one.whole.to_stopping for one in ours)
    return 1 if options.strict and is_lossy else 0


if __name__ == "__main__":
    sys.exit(main())
