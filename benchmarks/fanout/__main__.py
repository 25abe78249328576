"""One daemon, many HAProxies: what one more costs, and what a stalled and a dead one cost.

Real HAProxies, a scripted engine, the real daemon. See benchmarks/README.md for how to read
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
from measure import Plan, measured
from scale.rig import RigError, end_on_sigterm
from summary import draw, result


SIZES = [1, 5, 20]
MOST_INSTANCES, MOST_PAIRS, MOST_ROUNDS = 50, 2000, 30


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="benchmarks/fanout", description=__doc__)
    add = parser.add_argument
    add("--sizes", type=int, nargs="+", default=SIZES, help="HAProxies (1 5 20)")
    add("--rounds", type=int, help="how often each is measured (3)")
    add("--pairs", type=int, help="starts and stops of each part of a round (60)")
    add("--haproxy", default="3.0", help="HAProxy's version (3.0)")
    add("--quick", action="store_true", help="one round of 10 pairs")
    add("--strict", action="store_true", help="end with 1 if a target is missed")
    add("--output", type=Path, default=RESULTS / "fanout.json", help="where to")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.pairs = options.pairs or (10 if options.quick else 60)
    if not 0 < options.rounds <= MOST_ROUNDS:
        parser.error(f"--rounds is between 1 and {MOST_ROUNDS}")
    if not 0 < options.pairs <= MOST_PAIRS:
        parser.error(f"--pairs is between 1 and {MOST_PAIRS}")
    if min(options.sizes) < 1 or not 3 <= max(options.sizes) <= MOST_INSTANCES:
        parser.error(f"--sizes are at least 1, the largest 3 to {MOST_INSTANCES}")
    return options


def main() -> int:
    """Run; 0 unless it failed (or, if strict, missed a target)."""
    options = parsed()
    end_on_sigterm()
    plan = Plan(
        sizes=sorted(set(options.sizes)),
        rounds=options.rounds,
        pairs=options.pairs,
        version=options.haproxy,
    )
    try:
        found = asyncio.run(measured(plan))
    except (RigError, OSError) as error:
        print(f"benchmarks/fanout failed: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ended by hand; everything is taken down", file=sys.stderr)
        return 130
    told = result(found)
    told.show()
    told.write(options.output)
    draw(found, options.output.with_suffix(".png"))
    return 1 if options.strict and not told.is_met else 0


if __name__ == "__main__":
    sys.exit(main())
