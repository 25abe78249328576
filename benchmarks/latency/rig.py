"""What is measured, put up and taken down: HAProxy, the reconciler, containers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from latency.prober import log_socket
from latency.runtime_socket import RuntimeSocket


ROOT = Path(__file__).resolve().parents[2]
CONFIG = Path(__file__).with_name("haproxy.cfg")
STACK_ENV = ROOT / ".cache" / "stack.env"
WAIT_SECONDS = 30.0
STARTERS = 6
"""So many requests to the engine at a time, where many containers are wanted."""


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
