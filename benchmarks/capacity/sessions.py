"""Sessions on the runtime socket: who uses how many, and what happens when there are none left.

``stats maxconn`` bounds them (10 by default), ``stats timeout`` ends idle ones (after 10 s).
"""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from bare_haproxy import Running, Shape, running
from session import Session
from tests.scripted_engine import ScriptedEngine
from tests.support.daemon import Daemon, DaemonError, run_cli


DEFAULT_MAXCONN = 10
_WEB = {"com.docker.compose.project": "bench", "com.docker.compose.service": "web1"}
_CONTAINERS = 20
_SLOTS = 40
_LONGEST_SECONDS = 30.0
_PATIENCE_SECONDS = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """How many sessions somebody opens."""

    who: str
    opened: int
    at_once: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """What somebody meets who finds no session left."""

    who: str
    seconds: float
    code: int | None
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """What one ``stats timeout`` does to a daemon at rest."""

    stats_timeout: str
    seconds: float
    connects: int
    passes: int
    placed_seconds: float | None
    """From the start of one more container until the daemon said that its slot is ready;
    None: it did not, as long as we waited."""


class _Counter:
    """A relay before HAProxy's socket that counts connections."""

    def __init__(self, path: Path, haproxy: Path) -> None:
        self._path, self._haproxy = path, haproxy
        self._open = self.opened = self.at_once = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._path}"

    def begin(self) -> None:
        """Count from here on, above what is open."""
        self.opened, self.at_once = 0, self._open

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._serve, self._path)
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._open += 1
        self.opened += 1
        self.at_once = max(self.at_once, self._open)
        try:
            there, back = await asyncio.open_unix_connection(self._haproxy)
            await _first_end(_pump(reader, back), _pump(there, writer))
            back.close()
        finally:
            self._open -= 1
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()


async def _first_end(*pumps: Any) -> None:  # noqa: ANN401 - coroutines
    tasks = [asyncio.create_task(pump) for pump in pumps]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def _engine() -> AsyncIterator[ScriptedEngine]:
    folder = Path(tempfile.mkdtemp(prefix="capacity-"))
    try:
        async with ScriptedEngine(folder / "docker.sock") as engine:
            engine.run_many(_CONTAINERS, prefix="bench", labels=_WEB)
            yield engine
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def uses(version: str) -> list[Use]:
    """Count what each of the programs opens, one after another."""
    shape = Shape(version=version, slots=_SLOTS, is_checked=False)
    with running(shape) as haproxy:
        counter = _Counter(haproxy.socket.with_name("counted.sock"), haproxy.socket)
        async with _engine() as engine, counter:
            return await _uses(counter, engine)


async def _uses(counter: _Counter, engine: ScriptedEngine) -> list[Use]:
    found = []

    def note(who: str) -> None:
        found.append(Use(who=who, opened=counter.opened, at_once=counter.at_once))

    where = ("--haproxy", counter.url, "--docker", engine.url)
    async with Daemon(haproxy=[counter.url], docker=engine.url) as daemon:
        await daemon.wait_ready()
        note("the daemon")
        counter.begin()
        await asyncio.gather(*(daemon.slots() for _ in range(5)))
        note("the daemon while five ask for /api/slots")
    name = f"bench-{_CONTAINERS}"
    for command in (
        ("slots",),
        ("plan",),
        ("explain", name),
        ("drain", name),
        ("drain", name, "--wait", "1"),
        ("ready", name),
        ("check",),
    ):
        counter.begin()
        await run_cli(*command, *where)
        note("reconciler " + " ".join(command).replace(name, "NAME"))
    return found


async def refusals(version: str, *, timeout_seconds: float) -> list[Refused]:
    """Hold all sessions that HAProxy allows, and see what each program makes of it.

    Then let go of one, and see how soon the daemon goes on.
    """
    shape = Shape(version=version, slots=_SLOTS, is_checked=False)
    async with AsyncExitStack() as stack:
        haproxy = stack.enter_context(running(shape))
        engine = await stack.enter_async_context(_engine())
        where = ("--haproxy", f"unix://{haproxy.socket}", "--docker", engine.url)
        patience = ("--haproxy-timeout", str(timeout_seconds))
        old, new = (
            Daemon(
                haproxy=[f"unix://{haproxy.socket}"],
                docker=engine.url,
                arguments=patience,
            )
            for _ in range(2)
        )
        await stack.enter_async_context(old)
        await old.wait_ready()
        held = [haproxy.session() for _ in range(DEFAULT_MAXCONN - 1)]
        found = [await _placed(engine, haproxy_session=held[0])]
        begun = time.perf_counter()
        await stack.enter_async_context(new)
        found += await asyncio.gather(
            _command("slots", *where, *patience),
            _command("check", *where, *patience),
            _first_failure(new, begun),
        )
        began = time.perf_counter()
        held[1].close()
        await new.wait_ready(timeout_seconds=_LONGEST_SECONDS)
        seconds = time.perf_counter() - began
        said = "converged, one session having been closed"
        found.append(
            Refused(who="that daemon again", seconds=seconds, code=None, said=said)
        )
        return found


async def _placed(engine: ScriptedEngine, *, haproxy_session: Session) -> Refused:
    seconds = await _seconds_to_place(engine, haproxy_session)
    return Refused(
        who="a daemon that was there before",
        seconds=seconds,
        code=None,
        said="placed a new container as ever",
    )


async def _seconds_to_place(engine: ScriptedEngine, session: Session) -> float:
    """Start a container; return the seconds until HAProxy has it in rotation."""
    began = time.perf_counter()
    (one,) = engine.run_many(
        1, prefix=f"late-{began:.6f}".replace(".", "-"), labels=_WEB
    )
    wanted = re.compile(rb" %s 2 \d+ [1-9]" % re.escape(one.address.encode()))
    while not wanted.search(session.ask("show servers state web1")):
        if time.perf_counter() - began > _LONGEST_SECONDS:
            raise OSError(f"no slot for {one.name} in {_LONGEST_SECONDS:g} s")
        await asyncio.sleep(0.002)
    return time.perf_counter() - began


async def _seconds_to_say_so(engine: ScriptedEngine, daemon: Daemon) -> float | None:
    """The same by the daemon's own word: our questions would be cut off, too."""
    began = time.perf_counter()
    engine.run_many(1, prefix="late", labels=_WEB)
    try:
        await daemon.wait_log("assigned late", timeout_seconds=_PATIENCE_SECONDS)
    except DaemonError:
        return None
    return time.perf_counter() - began


async def _command(*arguments: str) -> Refused:
    began = time.perf_counter()
    done = await run_cli(*arguments)
    lines = (done.stderr + done.stdout).splitlines()
    said = next((line for line in lines if "no whole reply" in line), "")
    return Refused(
        who=f"reconciler {arguments[0]}",
        seconds=time.perf_counter() - began,
        code=done.code,
        said=" ".join(said.split()),
    )


async def _first_failure(daemon: Daemon, began: float) -> Refused:
    number = await daemon.wait_log("no whole reply", timeout_seconds=_LONGEST_SECONDS)
    return Refused(
        who="a daemon that starts",
        seconds=time.perf_counter() - began,
        code=None,
        said=daemon.log[number],
    )


async def idles(version: str, timeouts: list[str], *, seconds: float) -> list[Idle]:
    """Let a daemon rest under each ``stats timeout``, all of them at once."""
    with ExitStack() as stack:
        haproxies = [
            stack.enter_context(
                running(
                    Shape(
                        version=version,
                        slots=_SLOTS,
                        is_checked=False,
                        stats=f"stats timeout {one}",
                    )
                )
            )
            for one in timeouts
        ]
        return await asyncio.gather(
            *(
                _idle(one, haproxy, seconds)
                for one, haproxy in zip(timeouts, haproxies, strict=True)
            )
        )


async def _idle(stats_timeout: str, haproxy: Running, seconds: float) -> Idle:
    url = f"unix://{haproxy.socket}"
    async with (
        _engine() as engine,
        Daemon(haproxy=[url], docker=engine.url) as daemon,
    ):
        with suppress(DaemonError):
            await daemon.wait_ready(timeout_seconds=_PATIENCE_SECONDS)
        before = await _counters(daemon)
        await asyncio.sleep(seconds)
        after = await _counters(daemon)
        placed = await _seconds_to_say_so(engine, daemon)
        return Idle(
            stats_timeout=stats_timeout,
            seconds=seconds,
            connects=after[0] - before[0],
            passes=after[1] - before[1],
            placed_seconds=placed,
        )


async def _counters(daemon: Daemon) -> tuple[int, int]:
    body = (await daemon.get("/metrics")).body

    def total(name: str) -> int:
        found = re.findall(rf"^{name}\{{.*\}} ([0-9.e+]+)$", body, re.MULTILINE)
        return int(sum(map(float, found)))

    return (
        total("reconciler_haproxy_connects_total"),
        total("reconciler_passes_total"),
    )


def rows(found: list[Any]) -> list[dict[str, Any]]:
    """Return findings as JSON has them."""
    return [asdict(one) for one in found]
