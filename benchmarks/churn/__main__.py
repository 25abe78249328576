"""100,000 starts and stops: memory, files and latency are at the end what they were.

A real HAProxy, a scripted engine, the real daemon. See benchmarks/README.md for how to read
what comes out.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import sys
from pathlib import Path


ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

from churn.measure import Plan, measured
from churn.summary import draw, over_time, result
from figures.result import RESULTS
from scale.rig import RigError, end_on_sigterm


MOST_EVENTS, MOST_RATE, MOST_CONTAINERS = 2_000_000, 2000.0, 5000


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="benchmarks/churn", description=__doc__)
    add = parser.add_argument
    add("--events", type=int, help="how many starts and stops (100000)")
    add("--rate", type=float, default=250.0, help="of them a second (250)")
    add("--containers", type=int, default=200, help="that run at a time (200)")
    add("--haproxy", default="3.0", help="HAProxy's version (3.0)")
    add("--quick", action="store_true", help="6,000 events")
    add("--strict", action="store_true", help="end with 1 if a target is missed")
    add("--output", type=Path, default=RESULTS / "churn.json", help="where to")
    options = parser.parse_args()
    options.events = options.events or (6000 if options.quick else 100_000)
    for name, most in (
        ("events", MOST_EVENTS),
        ("rate", MOST_RATE),
        ("containers", MOST_CONTAINERS),
    ):
        if not 0 < getattr(options, name) <= most:
            parser.error(f"--{name} is between 0 and {most:g}")
    return options


def main() -> int:
    """Run; 0 unless it failed (or, if strict, missed a target)."""
    options = parsed()
    end_on_sigterm()
    plan = Plan(
        events=options.events,
        rate=options.rate,
        containers=options.containers,
        version=options.haproxy,
    )
    print(f"{plan.events} events take {plan.seconds:.0f} s", flush=True)
    try:
        found = asyncio.run(measured(plan))
    except (RigError, OSError) as error:
        print(f"benchmarks/churn failed: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ended by hand; everything is taken down", file=sys.stderr)
        return 130
    told = result(found)
    told.show()
    facts = {**told.facts, "over time": over_time(found)}
    dataclasses.replace(told, facts=facts).write(options.output)
    draw(found, options.output.with_suffix(".png"))
    return 1 if options.strict and not told.is_met else 0


if __name__ == "__main__":
    sys.exit(main())
