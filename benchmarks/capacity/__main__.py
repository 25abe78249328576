"""What slots, threads, time-outs and limits cost HAProxy, and what happens at the limits.

The figures of docs/sizing.md. See benchmarks/README.md for how to read what comes out.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any


ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from checks import check_cost
from delay import Delays, delays
from figures.plot import picture
from figures.result import RESULTS, Result
from growth import Cell, Measure, measured
from pictures import panels
from plan import Plan, full, quick
from sessions import refusals, uses
from silence import silences
from summary import Found, ratios, series, told, verdicts


NAME = "capacity"


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="benchmarks/capacity", description=__doc__)
    add = parser.add_argument
    add("--haproxy", default="2.6,2.8,3.0", help="versions (2.6,2.8,3.0)")
    add("--sizes", default=None, help="slots of one backend (0,100,1000,10000)")
    add("--rounds", type=int, default=None, help="rounds of everything (5)")
    add("--quick", action="store_true", help="2 rounds, up to 1,000 slots")
    add("--strict", action="store_true", help="end with 1 if a target is missed")
    add("--output", type=Path, default=RESULTS / f"{NAME}.json", help="the JSON")
    return parser.parse_args()


def main() -> int:
    """Run; 0 unless it could not be (or, if strict, unless a target was missed)."""
    options = parsed()
    versions = options.haproxy.split(",")
    sizes = [int(size) for size in options.sizes.split(",")] if options.sizes else None
    plan = (quick if options.quick else full)(versions, sizes, options.rounds)
    began = time.perf_counter()
    found = _found(plan)
    result = Result(
        name=NAME,
        series=series(found),
        ratios=ratios(found),
        verdicts=verdicts(found),
        facts={
            "versions": options.haproxy,
            "rounds": plan.rounds,
            "seconds": round(time.perf_counter() - began, 1),
            "open files, limit": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        },
    )
    result.show()
    print(f"\n{told(found.facts)}\n")
    whole = replace(result, facts={**result.facts, **found.facts})
    print(whole.write(options.output))
    picture(options.output.with_suffix(".png"), panels(found), panels=4)
    return 1 if options.strict and not result.is_met else 0


def _found(plan: Plan) -> Found:
    grown, facts = _grown(plan)
    return Found(
        versions=plan.versions,
        grown=grown,
        checks=check_cost(
            plan.versions,
            in_maint=plan.idle_slots,
            ready=plan.checked_slots,
            rounds=plan.rounds,
            round_seconds=plan.check_seconds,
        ),
        idle_slots=plan.idle_slots,
        delays=_delayed(plan),
        facts=facts | asyncio.run(_sessions(plan)),
    )


def _grown(plan: Plan) -> tuple[dict[Cell, list[Measure]], dict[str, Any]]:
    found: dict[Cell, list[Measure]] = {cell: [] for cell in plan.cells + plan.once}
    not_run: dict[str, str] = {}
    for number in range(plan.rounds):
        for cell in plan.cells + (plan.once if number == 0 else []):
            if cell.name in not_run:
                continue
            try:
                found[cell].append(measured(cell, plan.commands))
            except OSError as error:
                not_run[cell.name] = str(error)
    files = {cell.name: some[0].files for cell, some in found.items() if some}
    facts = {"files": files, "files about": plan.versions[-1], "not run": not_run}
    return found, facts


def _delayed(plan: Plan) -> dict[tuple[str, int], Delays]:
    return {
        (version, threads): delays(
            version,
            threads=threads,
            slots=plan.delay_slots,
            commands=plan.burst,
            rounds=plan.rounds,
            alone=plan.requests_alone,
        )
        for version in plan.versions
        for threads in (1, 2)
    }


async def _sessions(plan: Plan) -> dict[str, Any]:
    newest = plan.versions[-1]
    used = await uses(newest)
    refused = await refusals(newest, timeout_seconds=plan.haproxy_timeout)
    silent = {
        version: await silences(version, plan.stats_timeouts, seconds=plan.idle_seconds)
        for version in dict.fromkeys((plan.versions[0], newest))
    }
    return {
        "sessions": _rows(used),
        "no session left": _rows(refused),
        "stats timeout": {version: _rows(some) for version, some in silent.items()},
    }


def _rows(found: Sequence[Any]) -> list[dict[str, Any]]:
    """Return findings as JSON has them."""
    return [asdict(one) for one in found]


if __name__ == "__main__":
    sys.exit(main())
