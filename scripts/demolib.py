"""What both demos share: a bounded request loop, and plain ways to show what happened.

Standard library only, so that it runs before anything is installed. It talks to one
address that the caller names, at a bounded rate and for a bounded time.
"""

from __future__ import annotations

import hashlib
import http.client
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self


FAILURES_KEPT = 5
"""How many failures are kept word for word: the first ones tell the cause."""

WhoAnswered = Callable[[Mapping[str, str], bytes], str]
"""Takes an answer's headers (lower-case names) and body, returns the server's name."""


def first_line(headers: Mapping[str, str], body: bytes) -> str:
    """Return who answered: the ``X-Served-By`` header, else the body's first line."""
    named = headers.get("x-served-by")
    if named:
        return named
    return body.partition(b"\n")[0].strip().decode("utf-8", "replace")[:64] or "?"


@dataclass(slots=True)
class Report:
    """What a stretch of the loop saw: how many answered, who, and what failed."""

    answered: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """How long each successful request took."""

    @property
    def sent(self) -> int:
        """Every request that was tried."""
        return self.answered.total() + self.failed

    def add(self, other: Report) -> None:
        """Count another stretch into this one."""
        self.answered += other.answered
        self.failed += other.failed
        self.failures = (self.failures + other.failures)[:FAILURES_KEPT]
        self.seconds += other.seconds

    def percentile(self, percent: float) -> float:
        """Return that percentile of the answer time in seconds, 0.0 with no answer."""
        ordered = sorted(self.seconds)
        return ordered[int((len(ordered) - 1) * percent / 100)] if ordered else 0.0

    def lines(self) -> list[str]:
        """Return the report as lines for a person."""
        shown = [
            f"requests: {self.sent} sent, {self.failed} failed",
            f"answer time: p50 {self.percentile(50) * 1000:.1f} ms, p99 {self.percentile(99) * 1000:.1f} ms",
            f"answered by {len(self.answered)}:",
        ]
        shown += [
            f"  {name:<28} {count}" for name, count in sorted(self.answered.items())
        ]
        return shown + [f"  failed: {failure}" for failure in self.failures]


class RequestLoop:
    """GET one URL again and again from a few threads, until stopped or out of time.

    Every second worker keeps its connection, the others open one for each request: the
    two ways a client can meet a server that goes away. ``rate`` is requests a second over
    all workers. Anything but status 200 is a failure, and nothing is retried: what fails
    here would have failed for a user.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        path: str = "/",
        rate: float = 100.0,
        workers: int = 4,
        max_seconds: float = 300.0,
        timeout_seconds: float = 10.0,
        who: WhoAnswered = first_line,
    ) -> None:
        self._target = (host, port, path)
        self._pause = workers / rate
        self._deadline = time.monotonic() + max_seconds
        self._timeout_seconds = timeout_seconds
        self._who = who
        self._lock = threading.Lock()
        self._answered = threading.Condition(self._lock)
        self._stretch = Report()
        self._total = Report()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(number % 2 == 0,), daemon=True)
            for number in range(workers)
        ]

    def __enter__(self) -> Self:
        """Start the workers."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        """Stop the workers and wait for their last answers."""
        self.stop()

    def stop(self) -> None:
        """Send nothing more; return when the last answer is in."""
        self._stop.set()
        for thread in self._threads:
            thread.join(self._timeout_seconds + 1)

    def take(self) -> Report:
        """Return what happened since the last call, and start counting anew."""
        with self._lock:
            stretch, self._stretch = self._stretch, Report()
            self._total.add(stretch)
            return stretch

    def total(self) -> Report:
        """Return everything since the start."""
        self.take()
        return self._total

    def wait_answered(self, count: int, *, timeout_seconds: float = 30.0) -> bool:
        """Wait until ``count`` different servers answered in this stretch.

        Returns whether they did before the time was over.
        """
        with self._answered:
            return self._answered.wait_for(
                lambda: len(self._stretch.answered) >= count, timeout_seconds
            )

    def _work(self, keeps_alive: bool) -> None:  # noqa: FBT001 - a thread's argument
        host, port, _ = self._target
        connection = http.client.HTTPConnection(
            host, port, timeout=self._timeout_seconds
        )
        while not self._stop.wait(self._pause) and time.monotonic() < self._deadline:
            self._request(connection, keeps_alive=keeps_alive)
        connection.close()

    def _request(
        self, connection: http.client.HTTPConnection, *, keeps_alive: bool
    ) -> None:
        started = time.monotonic()
        headers = {} if keeps_alive else {"Connection": "close"}
        try:
            connection.request("GET", self._target[2], headers=headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self._fail(f"{type(error).__name__}: {error}")
            return
        if not keeps_alive:
            connection.close()
        if answer.status != http.client.OK:
            self._fail(f"status {answer.status} {answer.reason}")
            return
        names = {name.lower(): value for name, value in answer.getheaders()}
        with self._answered:
            self._stretch.answered[self._who(names, body)] += 1
            self._stretch.seconds.append(time.monotonic() - started)
            self._answered.notify_all()

    def _fail(self, text: str) -> None:
        with self._answered:
            self._stretch.failed += 1
            if len(self._stretch.failures) < FAILURES_KEPT:
                self._stretch.failures.append(f"{time.strftime('%H:%M:%S')} {text}")
            self._answered.notify_all()


@dataclass(frozen=True, slots=True)
class HaproxyProcess:
    """Which HAProxy worker answers: its pid and how long it has run."""

    pid: int
    uptime_seconds: int

    @classmethod
    def at(cls, socket_path: str, *, timeout_seconds: float = 5.0) -> HaproxyProcess:
        """Ask ``show info`` on a runtime socket.

        Raises OSError where nobody answers, KeyError where the answer is not one.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.settimeout(timeout_seconds)
            stream.connect(socket_path)
            stream.sendall(b"show info\n")
            return cls.parse(b"".join(iter(lambda: stream.recv(65536), b"")).decode())

    @classmethod
    def parse(cls, reply: str) -> HaproxyProcess:
        """Read the text of ``show info``."""
        pairs = (line.partition(":") for line in reply.splitlines())
        found = {name.strip(): value.strip() for name, _, value in pairs}
        return cls(pid=int(found["Pid"]), uptime_seconds=int(found["Uptime_sec"]))


@dataclass(frozen=True, slots=True)
class FileStamp:
    """A file's bytes and modification time: equal stamps mean nobody wrote it."""

    digest: str
    mtime_ns: int

    @classmethod
    def of(cls, path: str | Path) -> FileStamp:
        """Read the stamp of a file. Raises OSError where it is not there."""
        file = Path(path)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        return cls(digest=digest, mtime_ns=file.stat().st_mtime_ns)


def free_port(wanted: int = 0) -> int:
    """Return a TCP port of 127.0.0.1 that nobody uses: the wanted one, or any for 0.

    Raises OSError where the wanted one is taken.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", wanted))
        port: int = probe.getsockname()[1]
        return port


class Screen:
    """Progress for a person: steps with the time since the start, and indented detail."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def step(self, title: str) -> None:
        """Print the title of a step."""
        elapsed = time.monotonic() - self._started
        print(f"\n[{elapsed:6.1f} s] {title}", flush=True)

    def show(self, text: str) -> None:
        """Print lines that belong to the step."""
        for line in text.rstrip("\n").splitlines():
            print(f"    {line}", flush=True)

    def error(self, text: str) -> None:
        """Print what went wrong, on standard error."""
        print(f"    {text}", file=sys.stderr, flush=True)
