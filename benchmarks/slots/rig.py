"""A real HAProxy whose thousands of slots are all taken, and an engine with their tenants.

The engine is the scripted one, as a process of its own: no machine runs 10,000 containers
beside what is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tests.scripted_engine.model import loopback_address
from tests.support.haproxy_process import HaproxyProcess, haproxy_process


ROOT = Path(__file__).resolve().parents[2]

CONFIG = """
global
    stats socket ${{HAPROXY_SOCKET}} mode 600 level admin
    stats timeout 1h
    maxconn 256
    nbthread 1

defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s

frontend web
    bind ${{HAPROXY_HTTP_BIND}}
    default_backend {first}

{backends}
"""
BACKEND = """
backend {name}
    server-template slot 1-{slots} 127.255.255.1:8000 disabled
"""
_A_LINE = 100
"""Commands of one line: what fits into HAProxy's buffer of 16 kB."""

_ENGINE = """
import asyncio, sys
from tests.scripted_engine import ScriptedEngine

async def main(path, backends, count):
    async with ScriptedEngine(path) as engine:
        for backend in range(1, backends + 1):
            labels = {"com.docker.compose.project": "bench"}
            labels["com.docker.compose.service"] = f"web{backend}"
            labels["com.docker.compose.container-number"] = "1"
            engine.run_many(count, prefix=f"bench-web{backend}", labels=labels)
        # "Up 9 days" is true for longer than "Up 9 seconds": the answer is made once.
        engine.jump_clock(9 * 86400)
        print("serving", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """What is measured against."""

    haproxy: HaproxyProcess
    docker_socket: Path
    slots: int
    """Of all backends; every one is taken."""

    @property
    def arguments(self) -> list[str]:
        """The options that lead a command here."""
        return [
            "--haproxy",
            self.haproxy.url,
            "--docker",
            f"unix://{self.docker_socket}",
        ]


@asynccontextmanager
async def rig(version: str, *, backends: int, slots_each: int) -> AsyncIterator[Rig]:
    """Run both, filled, for the length of a block. Raises OSError where that fails."""
    config = CONFIG.format(
        first="web1",
        backends="".join(
            BACKEND.format(name=f"web{number}", slots=slots_each)
            for number in range(1, backends + 1)
        ),
    )
    folder = Path(tempfile.mkdtemp(prefix="bench-slots-"))
    try:
        with haproxy_process(version, config=config) as haproxy:
            fill(haproxy, backends, slots_each)
            async with _engine(folder / "docker.sock", backends, slots_each) as path:
                yield Rig(
                    haproxy=haproxy, docker_socket=path, slots=backends * slots_each
                )
    finally:
        shutil.rmtree(folder)


@asynccontextmanager
async def _engine(path: Path, backends: int, count: int) -> AsyncIterator[Path]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _ENGINE, str(path), str(backends), str(count)),
        stdin=PIPE,
        stdout=PIPE,
        cwd=ROOT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if not await process.stdout.readline():
            raise OSError("the scripted engine did not start")
        yield path
    finally:
        process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def fill(haproxy: HaproxyProcess, backends: int, slots_each: int) -> None:
    """Give every slot its tenant, through the runtime socket."""
    for commands in _commands(backends, slots_each):
        haproxy.raw(";".join(commands))
    if f"slot{slots_each}" not in haproxy.raw("show servers state"):
        raise OSError("haproxy has not the slots it should have")


def _commands(backends: int, slots_each: int) -> Iterator[list[str]]:
    every = iter(
        command
        for backend in range(backends)
        for slot in range(1, slots_each + 1)
        for command in _of_slot(
            f"web{backend + 1}/slot{slot}",
            loopback_address(backend * slots_each + slot),
        )
    )
    while commands := list(islice(every, _A_LINE)):
        yield commands


def _of_slot(name: str, address: str) -> tuple[str, str]:
    return (
        f"set server {name} addr {address} port 8000",
        f"set server {name} state ready",
    )


def asked(path: Path, request: bytes) -> int:
    """Ask HAProxy on a bare socket; return how many bytes came back: a floor."""
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(str(path))
        one.sendall(request)
        return sum(map(len, iter(lambda: one.recv(1 << 20), b"")))


def listed(path: Path) -> int:
    """GET the containers on a bare socket; return how many bytes: a floor."""
    with socket.socket(socket.AF_UNIX) as one, one.makefile("rb") as answer:
        one.connect(str(path))
        one.sendall(b"GET /containers/json HTTP/1.1\r\nHost: engine\r\n\r\n")
        head = iter(answer.readline, b"\r\n")
        lengths = [
            int(h[15:]) for h in head if h.lower().startswith(b"content-length:")
        ]
        return len(answer.read(lengths[0]))
