"""A benchmark's result: on the screen, and as JSON in benchmarks/results."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from figures.series import Ratio, Series, Verdict, table


ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run found: series, what they are of each other, and the targets."""

    name: str
    """The benchmark's folder."""
    series: Sequence[Series]
    ratios: Sequence[Ratio] = ()
    verdicts: Sequence[Verdict] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the figures depend on: versions, sizes, seeds."""

    @property
    def is_met(self) -> bool:
        """Whether every target was met."""
        return all(verdict.is_met for verdict in self.verdicts)

    def show(self) -> None:
        """Print it."""
        for key, value in (machine() | dict(self.facts)).items():
            print(f"{key:20} {value}")
        print(f"\n{table(self.series)}\n")
        for line in (*self.ratios, *self.verdicts):
            print(line)

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "benchmark": self.name,
            "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "machine": machine(),
            "facts": dict(self.facts),
            "series": {
                one.name: {
                    "unit": one.unit,
                    **one.figures(),
                    "values": list(one.values),
                }
                for one in self.series
            },
            "ratios": [asdict(ratio) for ratio in self.ratios],
            "verdicts": [asdict(v) | {"is_met": v.is_met} for v in self.verdicts],
        }

    def write(self, path: Path | None = None) -> Path:
        """Write it, and return where to."""
        path = path or RESULTS / f"{self.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.document(), indent=1) + "\n", encoding="utf-8")
        return path


def machine() -> dict[str, Any]:
    """Return what the figures depend on and no benchmark chooses."""
    return {
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "processor": _processor(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
        "commit": commit(),
    }


def commit() -> str:
    """Return which version of this repository is measured."""
    words = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
