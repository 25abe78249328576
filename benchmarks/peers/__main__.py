"""Compare three ways for HAProxy to follow Docker: DNS, reloads, and slots.

How soon HAProxy has a container that started, how soon it lets go of one that is told to
stop, what becomes of requests meanwhile, and what it costs. See benchmarks/README.md for how
to read what comes out.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import sys
import tempfile
from pathlib import Path


sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from figures.plot import picture
from figures.result import RESULTS, Result
from latency.docker_socket import EngineError
from peers import summary
from peers.contest import ENTRIES, Finding, contest
from peers.observer import UnseenError
from tests.support.engine import CommandError, Engine
from traffic.load import LoadError
from traffic.stacks import end_on_sigterm, found_engine
from zero_loss.dns_config import ConfigError


def found(name: str, engine: Engine, options: argparse.Namespace) -> Finding:
    """Run one contender; a finding says so where it cannot be run."""
    say(f"{ENTRIES[name].contender.title} ...")
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        return contest(
            ENTRIES[name],
            engine,
            folder,
            changes=options.changes,
            rate=options.rate,
            rest=options.rest,
        )
    except (
        AssertionError,
        ConfigError,
        EngineError,
        LoadError,
        OSError,
        UnseenError,
    ) as error:
        say(f"{name} cannot be run: {error}")
        return Finding(name=name, not_run=" ".join(str(error).split())[-300:])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def say(words: str) -> None:
    """Tell how far it is."""
    print(words, file=sys.stderr, flush=True)


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="benchmarks/peers", description=__doc__)
    add = parser.add_argument
    add("--contenders", default=",".join(ENTRIES), help="which, by comma (all)")
    add("--rate", type=float, default=200.0, help="requests a second (200)")
    add("--changes", type=int, default=60, help="at most, of each kind (30, 60, 10)")
    add("--rest", type=float, default=8.0, help="seconds in which nothing changes (8)")
    add("--quick", action="store_true", help="two changes of each kind")
    add("--strict", action="store_true", help="end with 1 if a target is missed")
    add("--output", type=Path, help="where the JSON goes; the picture beside it")
    options = parser.parse_args()
    options.contenders = options.contenders.split(",")
    if unknown := set(options.contenders) - set(ENTRIES):
        parser.error(f"unknown contenders: {', '.join(sorted(unknown))}")
    if not 0 < options.rate <= 5000:
        parser.error("--rate is between 0 and 5000")
    if options.quick:
        options.changes, options.rest = 2, 2.0
    if options.changes < 1:
        parser.error("--changes is at least 1")
    options.output = options.output or RESULTS / "peers.json"
    return options


def told(findings: list[Finding], options: argparse.Namespace) -> Result:
    """Print, write and draw what was found."""
    series = summary.series(findings)
    result = Result(
        name="peers",
        series=list(series.values()),
        ratios=summary.ratios(series),
        verdicts=summary.verdicts(findings, series),
        facts={"requests a second": options.rate},
    )
    result.show()
    print(f"\n{summary.table(findings)}")
    contenders = {one.name: summary.document(one) for one in findings}
    facts = {**result.facts, "contenders": contenders}
    dataclasses.replace(result, facts=facts).write(options.output)
    if series:
        picture(
            options.output.with_suffix(".png"), lambda axis: summary.draw(axis, series)
        )
    return result


def main() -> int:
    """Run the benchmark: 0, or 1 if strict and a target is missed, 2 if it did not run."""
    options = parsed()
    end_on_sigterm()
    try:
        engine = found_engine()
        findings = [found(name, engine, options) for name in options.contenders]
    except CommandError as error:
        say(f"benchmarks/peers failed: {error}")
        return 2
    except KeyboardInterrupt:
        say("ended by hand; everything is taken down")
        return 130
    result = told(findings, options)
    if any(one.not_run for one in findings):
        return 2
    return 1 if options.strict and not result.is_met else 0


if __name__ == "__main__":
    sys.exit(main())
