"""What is measured, put up and taken down: HAProxy, the reconciler, containers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker_socket import DockerSocket, EngineError
from prober import PORT, RUN_LABEL, log_socket
from runtime_socket import RuntimeSocket


ROOT = Path(__file__).resolve().parents[2]
CONFIG = Path(__file__).with_name("haproxy.cfg")
STACK_ENV = ROOT / ".cache" / "stack.env"
KEPT_ALIVE = 30
"""So many containers stand in slots at a time: half of the slots are used, as in life."""

WAIT_SECONDS = 20.0


class RigError(Exception):
    """Something that is measured with does not work."""


def stack_setting(name: str, default: str) -> str:
    """Return a setting of the environment, else the one that scripts/setup found."""
    if name in os.environ:
        return os.environ[name]
    if STACK_ENV.exists():
        for line in STACK_ENV.read_text(encoding="utf-8").splitlines():
            key, _, value = line.removeprefix("export ").partition("=")
            if key == name:
                return value
    return default


def wait_until(claim: str, check: Callable[[], bool]) -> None:
    """Look again until it is so. Raises RigError when the time is over."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not check():
        if time.monotonic() > deadline:
            raise RigError(f"{claim}: not so within {WAIT_SECONDS:g} s")
        time.sleep(0.02)


@contextlib.contextmanager
def _running(
    command: list[str], log: Path, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, **environment}
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.terminate()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def running_haproxy(folder: Path, version: str) -> Iterator[Path]:
    """Run a HAProxy of this version; give its runtime socket. Raises RigError."""
    binary = ROOT / ".cache" / "haproxy" / version / "haproxy"
    if not binary.exists():
        fetch = str(ROOT / "scripts" / "haproxy-versions")
        if subprocess.run([fetch, version], check=False).returncode != 0:
            raise RigError(f"there is no HAProxy {version}: scripts/haproxy-versions")
    path, log = folder / "haproxy.sock", folder / "haproxy.log"
    command = [str(binary), "-db", "-f", str(CONFIG)]
    environment = {"BENCH_SOCKET": str(path), "BENCH_LOG": str(log_socket(path))}
    with _running(command, log, environment) as process:

        def answers() -> bool:
            if process.poll() is not None:
                raise RigError(f"haproxy ended:\n{log.read_text()[-800:]}")
            return path.exists() and bool(_answer(path))

        wait_until("haproxy answers", answers)
        yield path


def _answer(path: Path) -> str:
    with contextlib.suppress(OSError):
        return RuntimeSocket(str(path)).ask("show version")[0].strip()
    return ""


@dataclass(slots=True)
class Daemon:
    """The real reconciler in a process of its own."""

    process: subprocess.Popen[bytes]
    log: Path

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stop it for a while: the floor then has the machine to itself."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def cpu_seconds(self) -> float:
        """Return the processor time it has used."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii")
        spent = text.rpartition(")")[2].split()[11:13]
        return sum(map(int, spent)) / os.sysconf("SC_CLK_TCK")

    def own_latencies(self, verb: str) -> dict[str, float]:
        """Return, by container name, the ``latency_ms`` it logged with "assigned ..."."""
        found = {}
        for line in self.log.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                entry = json.loads(line)
                message = str(entry.get("message"))
                if message.startswith(f"{verb} ") and "latency_ms" in entry:
                    found[message.split(" ")[1]] = float(entry["latency_ms"])
        return found


@contextlib.contextmanager
def running_daemon(folder: Path, *, docker: str, runtime: Path) -> Iterator[Daemon]:
    """Run the reconciler as shipped, for this HAProxy. Raises RigError."""
    log = folder / "reconciler.log"
    command = [sys.executable, "-m", "reconciler", "run", "--listen", "off"]
    command += ["--haproxy", f"unix://{runtime}", "--docker", f"unix://{docker}"]
    # Services of other projects on this engine are none of its business.
    command += ["--project", "reconciler-bench", "--log-format", "json"]
    with _running(command, log, {}) as process:

        def is_connected() -> bool:
            words = log.read_text(encoding="utf-8")
            if process.poll() is not None:
                raise RigError(f"the reconciler ended:\n{words[-800:]}")
            return "connected to haproxy" in words

        wait_until("the reconciler is connected to haproxy", is_connected)
        yield Daemon(process, log)


@dataclass(slots=True)
class Containers:
    """The run's containers, on a real engine; all have the run's label."""

    engine: DockerSocket
    image: str
    run: str
    alive: deque[str] = field(default_factory=deque)
    names: dict[str, str] = field(default_factory=dict)

    def create(self, *, is_placed: bool) -> str:
        """Create a container that does nothing; return its id."""
        labels = {RUN_LABEL: self.run}
        if is_placed:
            labels |= {"haproxy.backend": "bench", "haproxy.port": str(PORT)}
        else:
            labels["haproxy.enable"] = "false"
        name = f"reconciler-bench-{self.run}-{len(self.names) + 1}"
        made = self.engine.call(
            "POST",
            f"/containers/create?name={name}",
            {
                "Image": self.image,
                # It ends by itself even if nobody is left to remove it.
                "Cmd": ["sleep", "900"],
                "Labels": labels,
                "HostConfig": {"NetworkMode": "bridge"},
            },
        )
        container_id = str(made["Id"])
        self.names[container_id] = name
        self.alive.append(container_id)
        return container_id

    def start(self, container_id: str) -> None:
        """Start a container; the event comes before this returns."""
        self.engine.call("POST", f"/containers/{container_id}/start")

    def signal_stop(self, container_id: str) -> None:
        """Send SIGTERM, as a stop does first. `sleep` as process 1 does not heed it."""
        self.engine.call("POST", f"/containers/{container_id}/kill?signal=SIGTERM")

    def remove(self, container_id: str) -> None:
        """Kill and remove a container."""
        self.alive.remove(container_id)
        self.engine.call("DELETE", f"/containers/{container_id}?force=1&v=1")

    def remove_all(self) -> None:
        """Remove whatever of the run is left."""
        query = f"%7B%22label%22:[%22{RUN_LABEL}={self.run}%22]%7D"
        left: list[dict[str, Any]] = self.engine.get(
            f"/containers/json?all=1&filters={query}"
        )
        for entry in left:
            with contextlib.suppress(EngineError):
                self.engine.call("DELETE", f"/containers/{entry['Id']}?force=1&v=1")
