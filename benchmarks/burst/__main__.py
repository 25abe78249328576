"""Endpoints that appear all at once: how long until all are ready, beside the raw limit.

A real HAProxy, a scripted engine, the real daemon. See benchmarks/README.md for how to read
what comes out.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import defaultdict
from pathlib import Path


ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

from figures.result import RESULTS
from measure import Burst, Found, measured
from scale.rig import RigError, end_on_sigterm
from summary import draw, result


ROUNDS = {10: 10, 100: 10, 1000: 7, 10_000: 3}
QUICK_ROUNDS = {10: 3, 100: 3}


async def run(bursts: list[Burst]) -> Found:
    """Measure all sizes."""
    found: Found = defaultdict(dict)
    for burst in bursts:
        print(f"bursts of {burst.count} …", file=sys.stderr, flush=True)
        for key, by_size in (await measured(burst)).items():
            found[key] |= by_size
    return found


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="benchmarks/burst", description=__doc__)
    add = parser.add_argument
    add("--sizes", type=int, nargs="+", help="sizes of bursts (10 100 1000 10000)")
    add("--rounds", type=int, help="how often each is measured (10 to 3)")
    add("--backends", type=int, default=1, help="spread over so many (1)")
    add("--haproxy", default="3.0", help="HAProxy's version (3.0)")
    add("--quick", action="store_true", help="only small ones, a few times")
    add("--strict", action="store_true", help="end with 1 if a target is missed")
    add("--output", type=Path, default=RESULTS / "burst.json", help="where to")
    options = parser.parse_args()
    if options.backends < 1 or min(options.sizes or [options.backends]) < 1:
        parser.error("sizes and backends are numbers from 1 on")
    return options


def planned(options: argparse.Namespace) -> list[Burst]:
    """Return what to measure."""
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    return [
        Burst(
            count=count,
            backends=min(options.backends, count),
            rounds=options.rounds or rounds.get(count, 5),
            version=options.haproxy,
        )
        for count in sorted(options.sizes or rounds)
    ]


def main() -> int:
    """Run; 0 unless it failed (or, if strict, missed a target)."""
    options = parsed()
    end_on_sigterm()
    bursts = planned(options)
    try:
        found = asyncio.run(run(bursts))
    except KeyboardInterrupt:
        print("benchmarks/burst was interrupted", file=sys.stderr)
        return 130
    except (RigError, OSError) as error:
        print(f"benchmarks/burst failed: {error}", file=sys.stderr)
        return 2
    told = result(found, bursts)
    told.show()
    told.write(options.output)
    draw(found, options.output.with_suffix(".png"))
    return 1 if options.strict and not told.is_met else 0


if __name__ == "__main__":
    sys.exit(main())
