"""How soon a newcomer with a check is up, whatever it asks, and after HAProxy restarts.

Real HAProxies, a scripted engine and a real one, the real daemon. See benchmarks/README.md
for how to read what comes out.
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
from summary import result


MOST_STARTS, MOST_ROUNDS = 200, 50


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="benchmarks/checks", description=__doc__)
    add = parser.add_argument
    add("--starts", type=int, default=24, help="newcomers of each kind (24)")
    add("--containers", type=int, default=24, help="on a real engine, or 0 (24)")
    add("--rounds", type=int, default=5, help="restarts of each kind (5)")
    add("--haproxy", default="3.0", help="HAProxy's version (3.0)")
    add("--quick", action="store_true", help="six newcomers, two restarts")
    add("--strict", action="store_true", help="end with 1 if a target is missed")
    add("--output", type=Path, default=RESULTS / "checks.json", help="where to")
    options = parser.parse_args()
    if options.quick:
        options.starts, options.rounds = 6, 2
        options.containers = min(options.containers, 6)
    if not 0 <= options.containers <= MOST_STARTS:
        parser.error(f"--containers is between 0 and {MOST_STARTS}")
    for name, most in (("starts", MOST_STARTS), ("rounds", MOST_ROUNDS)):
        if not 0 < getattr(options, name) <= most:
            parser.error(f"--{name} is between 1 and {most}")
    return options


def main() -> int:
    """Run; 0 unless it failed (or, if strict, missed a target)."""
    options = parsed()
    end_on_sigterm()
    plan = Plan(
        starts=options.starts,
        rounds=options.rounds,
        version=options.haproxy,
        containers=options.containers,
    )
    try:
        found = asyncio.run(measured(plan))
    except (RigError, OSError, AssertionError) as error:
        print(f"benchmarks/checks failed: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ended by hand; everything is taken down", file=sys.stderr)
        return 130
    told = result(found, plan)
    told.show()
    told.write(options.output)
    return 1 if options.strict and not told.is_met else 0


if __name__ == "__main__":
    sys.exit(main())
