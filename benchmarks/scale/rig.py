"""Engine, HAProxies and daemon, each a process of its own, and readings of all three."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.daemon import clean_environment
from tests.support.haproxy_process import HaproxyProcess, haproxy_process
from tests.support.ports import free_port
from traffic.host_processes import open_files, resident_kb


HERE = Path(__file__).parent
WAIT_SECONDS = 120.0

GLOBAL = """
global
    stats socket ${HAPROXY_SOCKET} mode 600 level admin
    stats timeout 1h
    maxconn 256
    nbthread 1

defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
"""


class RigError(Exception):
    """Something that is measured with does not work."""


def end_on_sigterm() -> None:
    """Make SIGTERM do what Ctrl-C does, so that everything is taken down then too."""
    # Whoever is started in the background by a script is born deaf to Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


def config(backends: dict[str, int]) -> str:
    """Return a configuration with so many slots in each backend, without checks."""
    return GLOBAL + "".join(
        f"\nbackend {name}\n"
        f"    server-template slot 1-{slots} 127.255.255.1:8000 disabled\n"
        for name, slots in backends.items()
    )


@dataclass(slots=True)
class Engine:
    """The scripted engine's process."""

    process: Process
    path: Path

    async def order(self, order: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Have something done, and return what it says of that."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([order, arguments]).encode() + b"\n")
        line = await self.process.stdout.readline()
        if not line:
            raise RigError(f"the scripted engine ended within {order}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@dataclass(slots=True)
class Daemon:
    """The real daemon's process; its log goes to a file, so that nobody has to read along."""

    process: Process
    port: int
    log: Path
    offset: int = 0
    _rest: bytes = field(default=b"", repr=False)

    @property
    def pid(self) -> int:
        """Its process number."""
        return self.process.pid

    def cpu_seconds(self) -> float:
        """Return the processor time that all of its threads have used."""
        spent = 0
        for task in (Path("/proc") / str(self.pid) / "task").iterdir():
            with contextlib.suppress(OSError):
                spent += int((task / "schedstat").read_text().split()[0])
        return spent / 1e9

    def resident_mb(self) -> float:
        """Return its resident memory."""
        return resident_kb(self.pid) / 1024

    def peak_mb(self) -> float:
        """Return the most it has ever had."""
        text = (Path("/proc") / str(self.pid) / "status").read_text()
        found = re.search(r"^VmHWM:\s+(\d+) kB", text, re.MULTILINE)
        return int(found[1]) / 1024 if found else 0.0

    def open_files(self) -> int:
        """Return how many files it has open."""
        return open_files(self.pid)

    def news(self) -> list[dict[str, Any]]:
        """Return the log lines that have come since the last call."""
        with self.log.open("rb") as log:
            log.seek(self.offset)
            text = self._rest + log.read()
            self.offset = log.tell()
        *lines, self._rest = text.split(b"\n")
        found = []
        for line in lines:
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    async def get(self, path: str) -> str:
        """GET a path; return the body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        return answer.partition(b"\r\n\r\n")[2].decode()

    async def metrics(self) -> dict[str, float]:
        """Return what it counts, summed over labels other than `result` and `le`."""
        found: dict[str, float] = {}
        for line in (await self.get("/metrics")).splitlines():
            if line.startswith("reconciler_"):
                name, _, value = line.rpartition(" ")
                result = re.search(r'result="(\w+)"', name)
                key = name.partition("{")[0] + (f":{result[1]}" if result else "")
                found[key] = found.get(key, 0.0) + float(value)
        return found

    async def wait_ready(self) -> None:
        """Wait until every HAProxy is as it should be."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if json.loads(await self.get("/readyz")).get("ready"):
                    return
            if self.process.returncode is not None:
                break
            await asyncio.sleep(0.05)
        raise RigError(f"the daemon is not ready; it said last:\n{self.last_words()}")

    def last_words(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-1500:]


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder whose path is short enough for sockets, for the length of a block."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def running_engine(folder: Path) -> AsyncIterator[Engine]:
    """Run the scripted engine for the length of a block."""
    path = folder / "docker.sock"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(HERE / "engine_process.py"), str(path)),
        stdin=PIPE,
        stdout=PIPE,
        limit=1 << 24,
    )
    try:
        assert process.stdout is not None
        if not await process.stdout.readline():
            raise RigError("the scripted engine did not start")
        yield Engine(process, path)
    finally:
        await _ended(process)


@contextlib.contextmanager
def running_haproxies(
    version: str, backends: dict[str, int], count: int = 1
) -> Iterator[list[HaproxyProcess]]:
    """Run some alike HAProxies for the length of a block."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(haproxy_process(version, config=config(backends)))
            for _ in range(count)
        ]


@asynccontextmanager
async def running_daemon(
    folder: Path, engine: Engine, haproxies: list[str], *more: str
) -> AsyncIterator[Daemon]:
    """Run the daemon, as its users do, for the length of a block; it is ready then."""
    port, log = free_port(), folder / "reconciler.log"
    named = [part for url in haproxies for part in ("--haproxy", url)]
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "reconciler", "run", *named),
            *("--docker", f"unix://{engine.path}", "--listen", f"127.0.0.1:{port}"),
            *("--log-format", "json", *more),
            stdout=output,
            stderr=output,
            env=clean_environment(),
        )
    daemon = Daemon(process, port, log)
    try:
        await daemon.wait_ready()
        yield daemon
    finally:
        await _ended(process)


async def _ended(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGCONT)
        process.terminate()
    try:
        async with asyncio.timeout(10):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def until(
    what: str,
    check: Callable[[], bool],
    *,
    seconds: float = WAIT_SECONDS,
    pause: float = 0.005,
) -> None:
    """Look again until it is so. Raises RigError when the time is over."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise RigError(f"not so within {seconds:g} s: {what}")
        await asyncio.sleep(pause)
