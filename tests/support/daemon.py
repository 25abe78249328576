"""The real daemon as a child process: started, watched, asked, killed.

``async with Daemon(haproxy=[…], docker=…) as daemon: await daemon.wait_ready()``. Nothing
here sleeps for a guess: every wait ends with the thing itself, with the daemon's end, or
with a time limit, and then it raises with the daemon's last words.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

from tests.support.ports import free_port


POLL_SECONDS = 0.02
WORDS_SHOWN = 30
"""How many last log lines an error shows."""


_IN_UTS = ("unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"')
"""Runs a command under another host name, as a container does."""


class DaemonError(AssertionError):
    """The daemon ended, or did not do in time what was waited for."""


class Answer(NamedTuple):
    """An answer on the daemon's ``--listen`` address."""

    status: int
    body: str


class Done(NamedTuple):
    """How one command of the CLI ended."""

    code: int
    stdout: str
    stderr: str


def clean_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return our environment without what would configure a reconciler by accident.

    Nor what gives a terminal a size that it has not: ``pytest -n`` sets it.
    """
    left_out = {"DOCKER_HOST", "COLUMNS", "LINES"}
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RECONCILER_") and name not in left_out
    }
    return {**kept, "PYTHONUNBUFFERED": "1", **(more or {})}


async def run_cli(
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float = 30.0,
) -> Done:
    """Run ``python -m reconciler ARGUMENTS`` to its end.

    Raises DaemonError where it does not end in time.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reconciler", *arguments),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        env=clean_environment(environment),
    )
    try:
        async with asyncio.timeout(timeout_seconds):
            stdout, stderr = await process.communicate()
    except TimeoutError as error:
        process.kill()
        await process.wait()
        command = " ".join(arguments)
        raise DaemonError(f"reconciler {command}: still running") from error
    return Done(process.returncode or 0, stdout.decode(), stderr.decode())


class Daemon:
    """``python -m reconciler run`` on a free port of 127.0.0.1, with its log captured."""

    def __init__(
        self,
        *,
        haproxy: Sequence[str],
        docker: str,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        port: int | None = None,
        hostname: str | None = None,
    ) -> None:
        """``hostname`` is its own, in a namespace of its own: that takes root."""
        self._prefix = () if hostname is None else (*_IN_UTS, hostname)
        self.port = port or free_port()
        self.log: list[str] = []
        """Every line of its standard output and error so far."""
        self._haproxy = haproxy
        self._docker = docker
        self._more = arguments
        self._environment = environment
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._said = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Start it; it is not ready yet."""
        await self.start()
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        """Kill what is left of it."""
        await self.kill()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._running.pid

    @property
    def _running(self) -> Process:
        if self._process is None:
            raise DaemonError("the daemon was not started")
        return self._process

    async def start(self) -> None:
        """Start it, again on the same port where it was running before."""
        haproxies = [part for url in self._haproxy for part in ("--haproxy", url)]
        self._process = await asyncio.create_subprocess_exec(
            *(*self._prefix, sys.executable, "-m", "reconciler", "run", *haproxies),
            *("--docker", self._docker, "--listen", f"127.0.0.1:{self.port}"),
            *self._more,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            env=clean_environment(self._environment),
        )
        self._reading = asyncio.create_task(self._read(self._process))

    async def _read(self, process: Process) -> None:
        if process.stdout is None:
            return
        async for line in process.stdout:
            self.log.append(line.decode(errors="replace").rstrip("\n"))
            self._said.set()
        self._said.set()

    async def kill(self) -> None:
        """SIGKILL: it gets to do nothing more. Nothing happens where it ended before."""
        with contextlib.suppress(ProcessLookupError):
            if self._process is not None:
                self._process.kill()
        await self._end()

    async def terminate(self, *, timeout_seconds: float = 10.0) -> int:
        """SIGTERM; return its exit code. Raises DaemonError where it does not end."""
        with contextlib.suppress(ProcessLookupError):
            self._running.terminate()
        return await self.wait_ended(timeout_seconds=timeout_seconds)

    async def wait_ended(self, *, timeout_seconds: float = 10.0) -> int:
        """Return its exit code once it ends by itself."""
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._end()
        except TimeoutError as error:
            raise self._error("did not end") from error

    async def _end(self) -> int:
        if self._process is None:
            return 0
        code = await self._process.wait()
        if self._reading is not None:
            await self._reading
        return code

    async def wait_log(
        self, text: str, *, after: int = 0, timeout_seconds: float = 15.0
    ) -> int:
        """Return the number of the first log line with ``text``, from line ``after`` on.

        Raises DaemonError where none comes in time, or the daemon ends before.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                while True:
                    self._said.clear()
                    for number, line in enumerate(self.log[after:], after):
                        if text in line:
                            return number
                    if self._reading is None or self._reading.done():
                        raise self._error(f"ended without saying {text!r}")
                    await self._said.wait()
        except TimeoutError as error:
            raise self._error(f"did not say {text!r}") from error

    async def wait_ready(
        self, path: str = "/readyz", *, timeout_seconds: float = 15.0
    ) -> None:
        """Return once ``/readyz`` answers 200: every HAProxy reached and converged."""
        await self.wait_answer(path, status=200, timeout_seconds=timeout_seconds)

    async def wait_answer(
        self, path: str, *, status: int, timeout_seconds: float = 15.0
    ) -> Answer:
        """Return the first answer with a status. Raises DaemonError where none comes."""
        seen: Answer | None = None
        try:
            async with asyncio.timeout(timeout_seconds):
                while True:
                    if self._running.returncode is not None:
                        raise self._error(f"ended before {path} answered {status}")
                    with contextlib.suppress(OSError, EOFError):
                        seen = await self.get(path)
                        if seen.status == status:
                            return seen
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as error:
            what = f"does not answer {status}, {path} last answered {seen}"
            raise self._error(what) from error

    async def get(self, path: str) -> Answer:
        """GET a path of ``--listen``. Raises OSError or EOFError where nobody answers."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        if not head:
            raise EOFError(f"no answer to {path}")
        return Answer(int(head.split(b" ", 2)[1]), body.decode())

    async def slots(self) -> dict[str, Any]:
        """Return ``/api/slots``: the same object as ``slots --json`` prints."""
        answer = await self.get("/api/slots")
        shown: dict[str, Any] = json.loads(answer.body)
        return shown

    def _error(self, what: str) -> DaemonError:
        code = self._process.returncode if self._process else None
        last = "\n".join(self.log[-WORDS_SHOWN:])
        return DaemonError(
            f"the daemon {what} (exit code {code}); it said last:\n{last}"
        )
