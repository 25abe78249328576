"""Measure from a container's start event to its slot being ready, and the way out.

A real engine, a real HAProxy, the real reconciler; beside it, interleaved, the floor: the
same steps done bare. One container after another, and a burst of them. See
benchmarks/README.md for how to read what comes out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import uuid
from pathlib import Path


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from figures.plot import picture
from figures.result import RESULTS, Result
from latency import summary
from latency.burst import run_bursts
from latency.containers import Containers
from latency.docker_socket import EngineError
from latency.measure import Bench, run_idle
from latency.prober import Prober, ProberError
from latency.rig import RigError, running_daemon, running_haproxy, stack_setting
from latency.runtime_socket import RuntimeSocket
from latency.summary import Findings


def measured(options: argparse.Namespace, folder: Path) -> dict[str, summary.Series]:
    """Put everything up, measure, take everything down."""
    docker = docker_path()
    image = options.image or stack_setting("WEB_IMAGE", "python:3.13-slim")
    containers = Containers(docker, image, uuid.uuid4().hex[:8])
    with (
        running_haproxy(folder, options.haproxy) as runtime,
        running_daemon(folder, docker=docker, runtime=runtime) as daemon,
    ):
        haproxy = RuntimeSocket(str(runtime))
        prober = Prober(docker=docker, runtime=runtime, run=containers.run)
        bench = Bench(containers, haproxy, daemon, prober)
        try:
            cpu = run_idle(bench, options.containers, options.blind)
            run_bursts(bench, options.burst, options.bursts)
        finally:
            prober.close()
            containers.remove_all()
        options.facts |= {
            "haproxy": haproxy.ask("show version")[0].strip(),
            "engine": containers.engine.get("/version")["Version"],
            "burst of": options.burst,
            "cpu_ms_a_container": round(cpu * 1000, 2),
        }
        return Findings(
            idle=bench.idle,
            burst=bench.burst,
            names=containers.names,
            assigned=daemon.own_latencies("assigned"),
            drained=daemon.own_latencies("drained"),
        ).series()


def docker_path() -> str:
    """Return the path of the engine's socket. Raises RigError where it has none."""
    host = stack_setting("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://"):
        raise RigError(f"DOCKER_HOST is {host}: only engines at unix:// are measured")
    return host.removeprefix("unix://")


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="benchmarks/latency", description=__doc__)
    add = parser.add_argument
    add("--containers", type=int, default=100, help="how many of each kind (100)")
    add("--blind", type=int, default=20, help="how many more that nobody watches (20)")
    add("--burst", type=int, default=50, help="how many at once, at most 54 (50)")
    add("--bursts", type=int, default=2, help="how many bursts of each kind (2)")
    add("--haproxy", default="3.0", help="HAProxy's version (3.0)")
    add("--image", help="an image that has `sleep` (the demo's)")
    add("--quick", action="store_true", help="few containers, one small burst")
    add("--strict", action="store_true", help="end with 1 if a target is missed")
    add("--output", type=Path, help="where the JSON goes; the picture beside it")
    options = parser.parse_args()
    if options.quick:
        options.containers, options.blind = 12, 4
        options.burst, options.bursts = 10, 1
    if not 0 < options.burst <= 54:
        parser.error("--burst is 1 to 54: there are 64 slots")
    options.output = options.output or RESULTS / "latency.json"
    options.facts = {"load before": round(os.getloadavg()[0], 2)}
    return options


def main() -> int:
    """Run the benchmark; 0 unless it failed (or, if strict, missed a target)."""
    options = parsed()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        series = measured(options, folder)
    except (RigError, ProberError, EngineError, OSError) as error:
        print(f"benchmarks/latency failed: {error}", file=sys.stderr)
        log = folder / "reconciler.log"
        if log.exists():
            print(log.read_text(encoding="utf-8")[-1500:], file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ended by hand; everything is taken down", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result = Result(
        name="latency",
        series=list(series.values()),
        ratios=summary.ratios(series),
        verdicts=summary.verdicts(series),
        facts=options.facts,
    )
    result.show()
    result.write(options.output)
    picture(
        options.output.with_suffix(".png"),
        lambda panels: summary.draw(panels, series),
        panels=2,
    )
    return 1 if options.strict and not result.is_met else 0


if __name__ == "__main__":
    sys.exit(main())
