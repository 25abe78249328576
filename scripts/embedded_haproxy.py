"""A HAProxy on the shipped base.cfg, for the embedded demo: any user may run it.

``HAPROXY`` in the environment names the binary. base.cfg is used as it is; its ports and
its socket are moved by the environment variables that it reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from demolib import HaproxyProcess, free_port


BASE_CFG = Path(__file__).resolve().parent.parent / "haproxy" / "base.cfg"
START_SECONDS = 20.0
USUAL_PORT = 8080


class HaproxyError(Exception):
    """HAProxy does not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Haproxy:
    """A running HAProxy: its runtime socket and the port of its HTTP frontend."""

    socket: Path
    port: int

    def process(self) -> HaproxyProcess:
        """Ask it who it is."""
        return HaproxyProcess.at(str(self.socket))


def _usual_port() -> int:
    """Return 8080 where it is free, else any."""
    with contextlib.suppress(OSError):
        return free_port(USUAL_PORT)
    return free_port()


def environment(folder: Path, port: int) -> dict[str, str]:
    """Return base.cfg's parameters: every port on loopback, the socket in the folder."""
    return {
        **os.environ,
        "HAPROXY_SOCKET": str(folder / "admin.sock"),
        "HAPROXY_HTTP_BIND": f"127.0.0.1:{port}",
        "HAPROXY_TCP_BIND": f"127.0.0.1:{free_port()}",
        "HAPROXY_STATS_BIND": f"127.0.0.1:{free_port()}",
        "HAPROXY_SORRY_HTTP": f"127.0.0.1:{free_port()}",
        "HAPROXY_SORRY_ANSWER": f"127.0.0.1:{free_port()}",
        "HAPROXY_SORRY_TCP": f"127.0.0.1:{free_port()}",
    }


@contextlib.asynccontextmanager
async def running_haproxy(folder: Path) -> AsyncIterator[Haproxy]:
    """Start HAProxy on base.cfg, and end it afterwards. Raises HaproxyError."""
    binary, log = os.environ.get("HAPROXY", "haproxy"), folder / "haproxy.log"
    haproxy = Haproxy(socket=folder / "admin.sock", port=_usual_port())
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(binary, "-db", "-f", str(BASE_CFG)),
            stdout=output,
            stderr=output,
            env=environment(folder, haproxy.port),
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(haproxy):
            if process.returncode is not None or time.monotonic() > deadline:
                words = log.read_text(encoding="utf-8", errors="replace")[-800:]
                raise HaproxyError(f"{binary} does not run:\n{words}")
            await asyncio.sleep(0.02)
        yield haproxy
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def _answers(haproxy: Haproxy) -> bool:
    with contextlib.suppress(OSError, KeyError):
        return bool(haproxy.process().pid)
    return False
