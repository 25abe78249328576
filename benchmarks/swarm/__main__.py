"""A swarm of three nodes with a HAProxy on each: how late are slots, and is a request lost?

Real engines in namespaces of their own, real HAProxies, the stack as it is shipped. See
benchmarks/README.md for how to read what comes out. Needs root.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

from figures.result import RESULTS
from measure import measured
from scale.rig import end_on_sigterm
from summary import result
from tests.support.engine import shared_engine


MOST_ROUNDS = 20


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="benchmarks/swarm", description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, help="how often it is scaled 3, 24, 6 (3)")
    add("--quick", action="store_true", help="one round")
    add("--strict", action="store_true", help="end with 1 if a target is missed")
    add("--output", type=Path, default=RESULTS / "swarm.json", help="where to")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    if not 0 < options.rounds <= MOST_ROUNDS:
        parser.error(f"--rounds is between 1 and {MOST_ROUNDS}")
    return options


def main() -> int:
    """Run; 0 unless it failed (or, if strict, missed a target)."""
    options = parsed()
    if os.geteuid() != 0:
        print("benchmarks/swarm needs root: it starts engines", file=sys.stderr)
        return 2
    end_on_sigterm()
    try:
        found = measured(shared_engine(), rounds=options.rounds)
    except (AssertionError, OSError) as error:
        print(f"benchmarks/swarm failed: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ended by hand; everything is taken down", file=sys.stderr)
        return 130
    told = result(found)
    told.show()
    told.write(options.output)
    return 1 if options.strict and not told.is_met else 0


if __name__ == "__main__":
    sys.exit(main())
