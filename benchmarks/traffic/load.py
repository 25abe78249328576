"""A constant rate of requests from a process of its own.

Open loop: request *n* is due at ``start + n / rate``, whatever became of those before it, so
a front that stalls meets all the requests that a stall costs. Kept connections and new ones
take turns. How late the generator itself was is in each record.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import resource
import signal
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from traffic.client import Client, LostError
from traffic.records import Failure, Record


TIME_OUT_SECONDS = 10.0
LONGEST_SECONDS = 4 * 3600.0
"""However the steering process ends, no load goes on for longer than this."""

MOST_OPEN = 4000
"""So many requests may be open at a time. HAProxy takes as many connections."""


_MOST_MS = 2**16 - 1


class LoadError(Exception):
    """The generator's process has failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the load goes, and how much."""

    host: str
    port: int
    rate: float
    path: str = "/"
    visitors: int = 0
    """So many of them keep a cookie each; 0: nobody does."""


class Load:
    """The generator's process, from the side that steers it; as a context manager."""

    def __init__(self, target: Target, records: Path) -> None:
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, self._pipe, target, records), daemon=True
        )
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        """Wait until it is about to send."""
        if not self._pipe.poll(10.0):
            raise LoadError("the load generator does not start")
        self._pipe.recv()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _exception: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Stop sending, and wait for what is open unless something failed."""
        try:
            if kind is None:
                self._finish()
        finally:
            self._process.terminate()
            self._process.join(5.0)

    def _finish(self) -> None:
        self._pipe.send("stop")
        if not self._pipe.poll(TIME_OUT_SECONDS + 10.0):
            raise LoadError("the load generator does not end")
        try:
            problem = self._pipe.recv()
        except EOFError as error:
            raise LoadError("the load generator has died") from error
        if problem:
            raise LoadError(f"the load generator failed: {problem}")


def _serve(pipe: Pipe, other_end: Pipe, target: Target, records: Path) -> None:
    # Ctrl-C is for the steering process. If that dies, the pipe says so.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    other_end.close()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.freeze()
    problem = ""
    try:
        with records.open("wb") as file:
            asyncio.run(_Generator(target, file, pipe).run())
    except Exception as error:  # noqa: BLE001 - the other side raises it
        problem = repr(error)
    with contextlib.suppress(OSError):
        pipe.send(problem)


class _Generator:
    def __init__(self, target: Target, file: BinaryIO, pipe: Pipe) -> None:
        self._target = target
        self._file = file
        self._pipe = pipe
        self._client = Client(
            target.host, target.port, target.path, jars=target.visitors
        )
        self._open = 0

    async def run(self) -> None:
        """Send until told to stop, then wait for what is open."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        loop.add_reader(self._pipe.fileno(), stop.set)
        self._pipe.send("sending")
        async with asyncio.TaskGroup() as tasks:
            await self._send(stop, tasks)
        loop.remove_reader(self._pipe.fileno())
        self._client.close()

    async def _send(self, stop: asyncio.Event, tasks: asyncio.TaskGroup) -> None:
        start = time.monotonic()
        for number in range(int(LONGEST_SECONDS * self._target.rate)):
            due = start + number / self._target.rate
            if (ahead := due - time.monotonic()) > 0:
                await asyncio.sleep(ahead)
            elif number % 50 == 0:
                await asyncio.sleep(0)  # behind, but answers have to be read too
            if stop.is_set():
                return
            late, is_kept = time.monotonic() - due, number % 2 == 0
            if self._open >= MOST_OPEN:
                self._write(Record(due, late, 0.0, is_kept, Failure.UNSENT, 0))
                continue
            self._open += 1
            tasks.create_task(self._one(due, late, is_kept=is_kept))

    async def _one(self, due: float, late: float, *, is_kept: bool) -> None:
        failure, status, stopping_ms = Failure.NONE, 0, 0
        try:
            async with asyncio.timeout(TIME_OUT_SECONDS):
                answer = await self._client.get(is_kept=is_kept)
                status, stopping_ms = answer.status, min(answer.stopping_ms, _MOST_MS)
        except TimeoutError:
            failure = Failure.TIMED_OUT
        except LostError as lost:
            failure, status = lost.failure, lost.status
        finally:
            self._open -= 1
        took = time.monotonic() - due
        self._write(Record(due, late, took, is_kept, failure, status, stopping_ms))

    def _write(self, record: Record) -> None:
        self._file.write(record.packed())
