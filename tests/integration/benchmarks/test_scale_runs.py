"""The benchmarks of scale run, with tiny sizes: what they promise comes out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.haproxy_process import ROOT, binary


pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("name", "arguments", "series"),
    [
        (
            "burst",
            ("--sizes", "20", "--rounds", "1"),
            {
                "20: raw limit",
                "20: daemon, while writing",
                "20: raw limit, rate",
                "20: daemon, rate while writing",
                "20: first event -> all ready",
                "20: filled again, rate while writing",
            },
        ),
        (
            "steady",
            ("--sizes", "5", "--quick", "--idle", "0.5", "--blocks", "1"),
            {
                "5: one event: daemon's processor time",
                "5: a stop, in its own 30 ms",
                "5: start event -> slot ready, own log",
                "5: stop signal -> slot in drain, own log",
                "5: one event: to and from HAProxy",
                "5: resident memory",
            },
        ),
    ],
)
def test_a_benchmark_of_scale_runs(
    tmp_path: Path, name: str, arguments: tuple[str, ...], series: set[str]
) -> None:
    """It ends well, the map was right, and its figures are in the file."""
    binary("3.0")
    path = tmp_path / f"{name}.json"

    done = subprocess.run(
        [
            *(sys.executable, str(ROOT / "benchmarks" / name)),
            *(*arguments, "--output", str(path)),
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    document: dict[str, Any] = json.loads(path.read_text())
    assert document["benchmark"] == name
    assert series <= document["series"].keys()
    for one in series:
        assert document["series"][one]["n"] > 0
    assert document["machine"]["cpus"]
