"""Measure from a container's start event to its slot being ready, on real parts.

A real engine, a real HAProxy, the real reconciler; beside it, interleaved, the floor: the
same job done bare. See benchmarks/README.md for how to read what comes out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import summary
from docker_socket import DockerSocket, EngineError
from measure import Bench, run
from prober import Prober, ProberError
from rig import (
    ROOT,
    Containers,
    RigError,
    running_daemon,
    running_haproxy,
    stack_setting,
)
from runtime_socket import RuntimeSocket
from summary import Row


RESULTS = ROOT / "benchmarks" / "results" / "latency.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run found: rows of figures, and the facts they depend on."""

    rows: dict[str, Row]
    facts: dict[str, Any]
    sightings: list[dict[str, Any]]

    @property
    def ratio(self) -> float:
        """The reconciler's median over the floor's."""
        return median(self.rows["ours"].values) / median(self.rows["floor"].values)

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        figures = {key: row.figures() for key, row in self.rows.items()}
        return {
            **self.facts,
            "ratio_of_medians": self.ratio,
            "milliseconds": figures,
            "nanoseconds": self.sightings,
        }


def measured(options: argparse.Namespace, folder: Path) -> Result:
    """Put everything up, measure, take everything down."""
    docker = docker_path()
    load_before = os.getloadavg()
    image = options.image or stack_setting("WEB_IMAGE", "python:3.13-slim")
    containers = Containers(DockerSocket(docker), image, uuid.uuid4().hex[:8])
    with (
        running_haproxy(folder, options.haproxy) as runtime,
        running_daemon(folder, docker=docker, runtime=runtime) as daemon,
    ):
        haproxy = RuntimeSocket(str(runtime))
        prober = Prober(docker=docker, runtime=runtime, run=containers.run)
        bench = Bench(containers, haproxy, daemon, prober, [])
        try:
            cpu_seconds = run(bench, options.containers, options.blind)
        finally:
            prober.close()
            containers.remove_all()
        rows = summary.rows(bench.seen) | summary.own_rows(
            bench.seen,
            containers.names,
            assigned=daemon.own_latencies("assigned"),
            drained=daemon.own_latencies("drained"),
        )
        facts = {
            "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "machine": summary.machine(),
            "versions": {
                "haproxy": haproxy.ask("show version")[0].strip(),
                "engine": containers.engine.get("/version")["Version"],
                "reconciler": commit(),
            },
            "load_average": {"before": load_before, "after": os.getloadavg()},
            "reconciler_cpu_ms_per_container": round(cpu_seconds * 1000, 3),
        }
    return Result(rows=rows, facts=facts, sightings=[asdict(o) for o in bench.seen])


def docker_path() -> str:
    """Return the path of the engine's socket. Raises RigError where it has none."""
    host = stack_setting("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://"):
        raise RigError(f"DOCKER_HOST is {host}: only engines at unix:// are measured")
    return host.removeprefix("unix://")


def commit() -> str:
    """Return which version of this repository is measured."""
    words = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def show(result: Result) -> bool:
    """Print the result; return whether the targets were met."""
    facts = result.facts
    for key, value in (facts["machine"] | facts["versions"]).items():
        print(f"{key:12} {value}")
    load = facts["load_average"]
    print(f"{'load':12} {load['before'][0]:.2f} before, {load['after'][0]:.2f} after")
    print(f"\n{summary.table(result.rows.values())}\n")
    print(f"ratio of medians, reconciler to floor: {result.ratio:.2f}")
    cpu = facts["reconciler_cpu_ms_per_container"]
    print(f"the reconciler's processor time for each container: {cpu:.1f} ms")
    judged = summary.verdicts(result.rows["ours"], result.rows["out_after_event"])
    for sentence, is_met in judged:
        print(f"{'met' if is_met else 'MISSED'}: {sentence}")
    return all(is_met for _, is_met in judged)


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="benchmarks/latency", description=__doc__)
    add = parser.add_argument
    add("--containers", type=int, default=100, help="how many of each kind (100)")
    add("--blind", type=int, default=20, help="how many more that nobody watches (20)")
    add("--haproxy", default="3.0", help="HAProxy's version (3.0)")
    add("--image", help="an image that has `sleep` (the demo's)")
    add("--strict", action="store_true", help="end with 1 if a target is missed")
    add("--output", type=Path, default=RESULTS, help="where the JSON goes")
    return parser.parse_args()


def main() -> int:
    """Run the benchmark; 0 unless it failed (or, if strict, missed a target)."""
    options = parsed()
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        result = measured(options, folder)
    except (RigError, ProberError, EngineError, OSError) as error:
        print(f"benchmarks/latency failed: {error}", file=sys.stderr)
        log = folder / "reconciler.log"
        if log.exists():
            print(log.read_text(encoding="utf-8")[-1500:], file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    is_met = show(result)
    summary.write(options.output, result.document())
    return 1 if options.strict and not is_met else 0


if __name__ == "__main__":
    sys.exit(main())
