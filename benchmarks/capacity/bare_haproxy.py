"""One HAProxy of any size, started as bare as can be, so that its start can be timed.

The configuration has the slot lines of haproxy/base.cfg and nothing that would cost
something beside them.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from session import Session
from tests.support.haproxy_process import binary
from tests.support.ports import free_port


MAXCONN = 500
LONGEST_START_SECONDS = 60.0
_POLL_SECONDS = 0.0005
_CHECK = "check inter {inter} fastinter {inter} downinter {inter} rise 1 fall 2"

_CONFIG = """
global
    stats socket {socket} mode 600 level admin
    {stats}
    maxconn {maxconn}
    nbthread {threads}

defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 10s

frontend web
    bind 127.0.0.1:{port}
    {answer}
    default_backend web1
"""
_BACKEND = """
backend web{number}
    server sorry 127.0.0.1:9 backup
    {check}
    {slots}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a HAProxy is configured to be."""

    version: str
    slots: int = 0
    backends: int = 1
    """The slots are spread evenly over them."""
    is_checked: bool = True
    threads: int = 1
    check_inter: str = "500ms"
    stats: str = "stats timeout 1h"
    """A line about the runtime socket, for ``global``."""
    answer: str = ""
    """What the frontend does with a request instead of asking a slot."""

    @property
    def slots_each(self) -> int:
        """How many slots a backend has."""
        return self.slots // self.backends

    def config(self, socket_path: Path, port: int) -> str:
        """Return the configuration file."""
        check = _CHECK.format(inter=self.check_inter)
        slots = f"server-template slot 1-{self.slots_each} 127.255.255.1:8000 disabled"
        backends = [
            _BACKEND.format(
                number=number,
                check=f"default-server {check}" if self.is_checked else "",
                slots=slots if self.slots else "",
            )
            for number in range(1, self.backends + 1)
        ]
        head = _CONFIG.format(
            socket=socket_path,
            maxconn=MAXCONN,
            threads=self.threads,
            stats=self.stats,
            answer=self.answer,
            port=port,
        )
        return head + "".join(backends)


@dataclass(slots=True, kw_only=True)
class Running:
    """A HAProxy that answers."""

    pid: int
    socket: Path
    port: int
    start_seconds: float
    """From when it was executed until its runtime socket answered."""
    sessions: list[Session] = field(default_factory=list)

    def session(self) -> Session:
        """Return a new prompt session, closed at the end."""
        self.sessions.append(Session(self.socket))
        return self.sessions[-1]

    def memory(self) -> int:
        """Return its resident set in bytes."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise OSError(f"no resident set of {self.pid}")

    def cpu_seconds(self) -> float:
        """Return the processor time that its threads have used, to the nanosecond."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(one.read_text().split()[0]) for one in threads) / 1e9


@contextmanager
def running(shape: Shape) -> Iterator[Running]:
    """Run a HAProxy for the length of a block. Raises OSError where it does not start."""
    folder = Path(tempfile.mkdtemp(prefix="capacity-"))
    port = free_port()
    config, path = folder / "haproxy.cfg", folder / "admin.sock"
    config.write_text(shape.config(path, port))
    log = folder / "log"
    began = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [binary(shape.version), "-db", "-f", config],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    one = None
    try:
        seconds = _until_it_answers(process, path, began, log)
        one = Running(pid=process.pid, socket=path, port=port, start_seconds=seconds)
        yield one
    finally:
        for session in one.sessions if one is not None else ():
            session.close()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _until_it_answers(
    process: subprocess.Popen[bytes], path: Path, began: float, log: Path
) -> float:
    while not _answers(path):
        if process.poll() is not None:
            raise OSError(f"haproxy did not start: {log.read_text()}")
        if time.perf_counter() - began > LONGEST_START_SECONDS:
            raise OSError(f"no start within {LONGEST_START_SECONDS:g} s")
        time.sleep(_POLL_SECONDS)
    return time.perf_counter() - began


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(LONGEST_START_SECONDS)
        with suppress(OSError):
            one.connect(str(path))
            one.sendall(b"show version\n")
            return bool(one.recv(100))
    return False
