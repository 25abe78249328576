"""What one event, a resync and idling cost while 10, 1,000 or 10,000 containers are placed.

A real HAProxy, a scripted engine, the real daemon. See benchmarks/README.md for how to read
what comes out.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path


ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

from figures.result import RESULTS
from measure import Figures, Plan, measured
from scale.rig import RigError, end_on_sigterm
from summary import draw, result


SIZES = (10, 1000, 10_000)
BLOCKS, QUICK_BLOCKS = 8, 2
IDLE_SECONDS, QUICK_IDLE_SECONDS = 62.0, 5.0


async def run(plans: list[Plan]) -> dict[int, Figures]:
    """Measure all sizes."""
    found: dict[int, Figures] = {}
    for plan in plans:
        print(f"with {plan.count} containers …", file=sys.stderr, flush=True)
        found[plan.count] = await measured(plan)
    return found


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="benchmarks/steady", description=__doc__)
    add = parser.add_argument
    add("--sizes", type=int, nargs="+", help="how many are placed (10 1000 10000)")
    add("--blocks", type=int, help="of 40 stops and starts each (8)")
    add("--haproxy", default="3.0", help="HAProxy's version (3.0)")
    add("--idle", type=float, help="seconds of idling (62)")
    add("--quick", action="store_true", help="10 and 100, no resyncs, short")
    add("--strict", action="store_true", help="end with 1 if a target is missed")
    add("--output", type=Path, default=RESULTS / "steady.json", help="where to")
    options = parser.parse_args()
    if min(options.sizes or SIZES) < 1:
        parser.error("sizes are numbers from 1 on")
    return options


def planned(options: argparse.Namespace) -> list[Plan]:
    """Return what to measure."""
    is_quick = options.quick
    return [
        Plan(
            count=count,
            version=options.haproxy,
            blocks=options.blocks or (QUICK_BLOCKS if is_quick else BLOCKS),
            idle_seconds=options.idle
            or (QUICK_IDLE_SECONDS if is_quick else IDLE_SECONDS),
            has_resyncs=not is_quick,
        )
        for count in sorted(options.sizes or ((10, 100) if is_quick else SIZES))
    ]


def main() -> int:
    """Run; 0 unless it failed (or, if strict, missed a target)."""
    options = parsed()
    end_on_sigterm()
    plans = planned(options)
    try:
        found = asyncio.run(run(plans))
    except KeyboardInterrupt:
        print("benchmarks/steady was interrupted", file=sys.stderr)
        return 130
    except (RigError, OSError) as error:
        print(f"benchmarks/steady failed: {error}", file=sys.stderr)
        return 2
    told = result(found, plans)
    told.show()
    told.write(options.output)
    draw(found, options.output.with_suffix(".png"))
    return 1 if options.strict and not told.is_met else 0


if __name__ == "__main__":
    sys.exit(main())
