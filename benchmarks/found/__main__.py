"""HAProxies that are found: from the first answer of a new one to all of its slots being right.

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


MOST_NEWCOMERS, MOST_ENDPOINTS, MOST_ROUNDS = 19, 1000, 100


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="benchmarks/found", description=__doc__)
    add = parser.add_argument
    add("--newcomers", type=int, default=4, help="HAProxies that come (4)")
    add("--endpoints", type=int, default=100, help="containers that run (100)")
    add("--rounds", type=int, help="how often they come and go (15)")
    add("--haproxy", default="3.0", help="HAProxy's version (3.0)")
    add("--quick", action="store_true", help="two rounds")
    add("--strict", action="store_true", help="end with 1 if a target is missed")
    add("--output", type=Path, default=RESULTS / "found.json", help="where to")
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 15)
    for name, most in (
        ("rounds", MOST_ROUNDS),
        ("newcomers", MOST_NEWCOMERS),
        ("endpoints", MOST_ENDPOINTS),
    ):
        if not 0 < getattr(options, name) <= most:
            parser.error(f"--{name} is between 1 and {most}")
    return options


def main() -> int:
    """Run; 0 unless it failed (or, if strict, missed a target)."""
    options = parsed()
    end_on_sigterm()
    plan = Plan(
        newcomers=options.newcomers,
        endpoints=options.endpoints,
        rounds=options.rounds,
        version=options.haproxy,
    )
    try:
        found = asyncio.run(measured(plan))
    except (RigError, OSError) as error:
        print(f"benchmarks/found failed: {error}", file=sys.stderr)
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
