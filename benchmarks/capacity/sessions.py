"""Who uses how many sessions on the runtime socket, and what happens when there are none left.

``stats maxconn`` bounds them: 10 where nothing is said.
"""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bare_haproxy import Shape, running
from bench_engine import CONTAINERS, SLOTS, WEB, bench_engine
from counted_socket import CountedSocket
from session import Session
from tests.scripted_engine import ScriptedEngine
from tests.support.daemon import Daemon, run_cli


DEFAULT_MAXCONN = 10
_LONGEST_SECONDS = 30.0


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


async def uses(version: str) -> list[Use]:
    """Count what each of the programs opens, one after another."""
    shape = Shape(version=version, slots=SLOTS, is_checked=False)
    with running(shape) as haproxy:
        counter = CountedSocket(
            haproxy.socket.with_name("counted.sock"), haproxy.socket
        )
        async with bench_engine() as engine, counter:
            return await _uses(counter, engine)


async def _uses(counter: CountedSocket, engine: ScriptedEngine) -> list[Use]:
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
    name = f"bench-{CONTAINERS}"
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
    shape = Shape(version=version, slots=SLOTS, is_checked=False)
    async with AsyncExitStack() as stack:
        haproxy = stack.enter_context(running(shape))
        engine = await stack.enter_async_context(bench_engine())
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
        1, prefix=f"late-{began:.6f}".replace(".", "-"), labels=WEB
    )
    wanted = re.compile(rb" %s 2 \d+ [1-9]" % re.escape(one.address.encode()))
    while not wanted.search(session.ask("show servers state web1")):
        if time.perf_counter() - began > _LONGEST_SECONDS:
            raise OSError(f"no slot for {one.name} in {_LONGEST_SECONDS:g} s")
        await asyncio.sleep(0.002)
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
