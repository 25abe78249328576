"""Thousands of random faults and changes: the map is right after each, and nothing leaks.

The real daemon, a real HAProxy, a scripted engine. See benchmarks/README.md for how to read
what comes out.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path


ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from measure import Plan, Result, measured
from summary import document, table, verdicts, write


RESULTS = ROOT / "benchmarks" / "results" / "faults.json"


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="benchmarks/faults", description=__doc__)
    add = parser.add_argument
    add("--steps", type=int, default=2000, help="how many are counted (2000)")
    add("--warm-up", type=int, default=1500, help="how many come before (1500)")
    add("--seed", type=int, help="of the random choices (another each time)")
    add("--haproxy", default="3.0", help="HAProxy's version (3.0)")
    add("--haproxy-restarts", action="store_true", help="restart HAProxy, too")
    add("--agent", action="store_true", help="an agent owns the weights of all slots")
    add("--strict", action="store_true", help="end with 1 if a promise is broken")
    add("--output", type=Path, default=RESULTS, help="where the JSON goes")
    return parser.parse_args()


def planned(options: argparse.Namespace) -> Plan:
    """Return what is to be done."""
    seed = options.seed
    return Plan(
        steps=options.steps,
        warm_up=options.warm_up,
        seed=int.from_bytes(os.urandom(4)) if seed is None else seed,
        version=options.haproxy,
        has_restarts=options.haproxy_restarts,
        has_agent=options.agent,
    )


def show(result: Result) -> bool:
    """Print the result; return whether every promise was kept."""
    print(f"\n{table(result)}\n")
    judged = verdicts(result)
    for sentence, is_kept in judged:
        print(f"{'kept' if is_kept else 'BROKEN'}: {sentence}")
    return all(is_kept for _, is_kept in judged)


def main() -> int:
    """Run; 0 unless it could not be (or, if strict, unless a promise was broken)."""
    options = parsed()
    plan = planned(options)
    print(f"seed {plan.seed}: {plan.warm_up} steps to warm up, then {plan.steps}")
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    try:
        result = asyncio.run(measured(plan))
    except OSError as error:
        print(f"benchmarks/faults failed: {error}", file=sys.stderr)
        return 2
    is_kept = show(result)
    write(options.output, {"measured_at": began, **document(result)})
    return 1 if options.strict and not is_kept else 0


if __name__ == "__main__":
    sys.exit(main())
