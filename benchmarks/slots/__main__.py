"""How long `slots` takes when thousands of slots are taken.

A real HAProxy, a scripted engine. See benchmarks/README.md for how to read what comes out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from pathlib import Path


ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from measure import measured
from rig import rig
from summary import floor, is_kept, table


RESULTS = ROOT / "benchmarks" / "results" / "slots.json"


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="benchmarks/slots", description=__doc__)
    add = parser.add_argument
    add("--backends", type=int, default=10, help="how many backends (10)")
    add("--slots", type=int, default=1000, help="of each, all taken (1000)")
    add("--rounds", type=int, default=9, help="how often each is timed (9)")
    add("--haproxy", default="3.0", help="HAProxy's version (3.0)")
    add("--strict", action="store_true", help="end with 1 if a target is missed")
    add("--output", type=Path, default=RESULTS, help="where the JSON goes")
    return parser.parse_args()


async def run(options: argparse.Namespace) -> dict[str, list[float]]:
    """Set up, measure, and return seconds by case."""
    async with rig(
        options.haproxy, backends=options.backends, slots_each=options.slots
    ) as running:
        return await asyncio.to_thread(measured, running, options.rounds)


def main() -> int:
    """Run; 0 unless it could not be (or, if strict, unless a target was missed)."""
    options = parsed()
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    load = os.getloadavg()[0]
    found = asyncio.run(run(options))
    print(f"{options.backends * options.slots} slots, load before {load:.2f}\n")
    print(table(found))
    kept = is_kept(found)
    print(f"\n{'kept' if kept else 'MISSED'}: slots and slots --json within 1 s")
    document = {
        "measured_at": began,
        "haproxy": options.haproxy,
        "slots": options.backends * options.slots,
        "processors": os.cpu_count(),
        "load_before": load,
        "floor_seconds": floor(found),
        "seconds": found,
    }
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps(document, indent=2) + "\n")
    return 1 if options.strict and not kept else 0


if __name__ == "__main__":
    sys.exit(main())
