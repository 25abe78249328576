"""The real daemon between a scripted engine and a real HAProxy, with a relay before it."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from tests.faults.agent import Agent
from tests.faults.churn import CHURN, WEB
from tests.faults.trouble import LASTING, SOCKET, TROUBLE
from tests.faults.truth import OWN, expected, housed
from tests.faults.visitor import Visitor
from tests.scripted_engine import ScriptedContainer, ScriptedEngine
from tests.scripted_engine.local import LocalPool
from tests.support.daemon import Daemon
from tests.support.fault_socket import FaultSocket
from tests.support.haproxy_process import (
    BASE_CFG,
    HaproxyProcess,
    haproxy_process,
)
from tests.support.ports import free_port
from tests.support.slots import OUT_OF_ROTATION, Row, slots


CONVERGE_SECONDS = 15.0
"""A bound, not an aim: after an engine that was away, the daemon pauses up to 5 s."""

POLL_SECONDS = 0.01
STEADY = "steady"
SIGTERM = 15
LINES_SHOWN = 40
SETTLED_SECONDS = 6.0
"""After so long whatever happened to a container has been acted on: longer than the daemon's
longest pause between two attempts to reach an engine."""

MOST_VISITORS = 6
"""So many come in turn: with three servers, several to each."""

BACKEND = "backend web from http\n"
SLOTS = "    server-template slot 1-64 127.255.255.1:8000 disabled"
STICKY = """    cookie SRV insert indirect nocache dynamic
    dynamic-cookie-key secret
"""


class Rig:
    """Everything, put up for the length of a block.

    ``keepers`` are the containers that certainly have a slot and did nothing to lose it, nor
    had anything happen to them in the trouble that has just been lifted.
    """

    timeout_seconds = 0.3
    """The daemon's patience with HAProxy, so that a stall costs no more than this."""

    def __init__(
        self,
        *,
        version: str = "3.0",
        resync_seconds: float = 1.0,
        has_agent: bool = False,
    ) -> None:
        """``has_agent`` has an agent asked for the weights of all slots."""
        self._version = version
        self.agent = Agent(free_port()) if has_agent else None
        self._resync_seconds = resync_seconds
        self._parts = AsyncExitStack()
        self._named = 0
        self._in_force: set[str] = set()
        self._port = free_port()
        self.keepers: set[str] = set()
        self._changed: dict[str, float] = {}
        """When something happened to a container that may cost it its slot, by id."""
        self._settled: set[str] = set()
        """The keepers who have lived in their slots so long that it is this life's."""
        self._told: dict[str, int] = {}
        """Who was told to stop, by id, and when the life began that is to end."""
        self._unsure: set[str] = set()
        self._is_calm = False
        self._troubled_at = float("inf")
        """When the trouble began that was not followed by a right table yet."""
        self._pool: LocalPool | None = None
        self.haproxy: HaproxyProcess
        self.relay: FaultSocket
        self.engine: ScriptedEngine
        self.daemon: Daemon
        self.own: ScriptedContainer
        """What the daemon takes for its own container, by its host name: as root alone."""

    async def __aenter__(self) -> Self:
        """Put everything up; return when the daemon is ready."""
        folder = Path(tempfile.mkdtemp(prefix="rig-"))
        parts = self._parts
        parts.callback(shutil.rmtree, folder, ignore_errors=True)
        try:
            self.haproxy = parts.enter_context(
                haproxy_process(self._version, config=self._config())
            )
            if self.agent is not None:
                await parts.enter_async_context(self.agent)
            self.relay = await parts.enter_async_context(
                FaultSocket(folder / "relay.sock", self.haproxy.socket)
            )
            self.engine = await parts.enter_async_context(
                ScriptedEngine(folder / "docker.sock")
            )
            self.own = self.engine.run(OWN, networks={"own": ""})
            self.daemon = await parts.enter_async_context(self._daemon())
            await self.daemon.wait_ready()
        except BaseException:
            await parts.aclose()
            raise
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        """Take everything down."""
        await self.lift()
        await self._parts.aclose()

    def _config(self) -> str:
        """Return what is shipped, with sticky clients, and the agent if there is one."""
        text = BASE_CFG.read_text(encoding="utf-8")
        assert (text.count(BACKEND), text.count(SLOTS)) == (1, 1)
        text = text.replace(BACKEND, BACKEND + STICKY)
        if self.agent is None:
            return text
        return text.replace(SLOTS, f"{SLOTS} {self.agent.words}")

    def table(self) -> dict[str, Row]:
        """Return the slots; where an agent owns the weights, those that tell no more."""
        found = slots(self.haproxy)
        if self.agent is None:
            return found
        return {
            name: row._replace(weight=int(not row.admin & OUT_OF_ROTATION))
            for name, row in found.items()
        }

    async def stop_under_visitor(self) -> list[str]:
        """Tell a container to stop, at which a visitor sticks; return who answered then.

        Nobody that was told to stop may be among them. While something is wrong the daemon
        may not hear of it, and nothing is done.
        """
        if self._in_force or self._pool is None:
            return []
        name = f"{STEADY}-{self.new_name()}"
        one = await self._pool.run(name, "web")
        await self.converge()
        visitors = [Visitor(self.haproxy.http_port) for _ in range(MOST_VISITORS)]
        homes = [await visitor.get() for visitor in visitors]
        self.tell_to_stop(one)
        await self.converge()
        found = [await visitor.get() for visitor in visitors for _ in range(3)]
        await self._pool.stop_and_remove(name)
        await self.converge()
        return [f"{name} answered" for who in found if who == name and name in homes]

    def _daemon(self) -> Daemon:
        return Daemon(
            haproxy=[self.relay.url],
            docker=self.engine.url,
            arguments=(
                *("--haproxy-timeout", str(self.timeout_seconds)),
                *("--resync", str(self._resync_seconds)),
            ),
            hostname=self.own.id[:12] if os.geteuid() == 0 else None,
        )

    async def serve(self, count: int = 2) -> None:
        """Run containers with something real inside, which no churn touches."""
        pool = self._pool = await self._parts.enter_async_context(
            LocalPool(self.engine, port=self._port)
        )
        names = [f"{STEADY}-{number}" for number in range(1, count + 1)]
        await asyncio.gather(*(pool.run(name, "web") for name in names))
        await self.converge()

    def restless(self) -> list[ScriptedContainer]:
        """Return the containers that churn may touch, the newest first."""
        return [
            one
            for one in self.engine.containers
            if STEADY not in one.name and one is not self.own
        ]

    def run(
        self,
        *,
        health: str | None = None,
        address: str | None = None,
        labels: Mapping[str, str] = WEB,
    ) -> None:
        """Run one more container, by default at an address that nobody had before.

        All have one port, which no other process of this machine serves: another rig or a
        demo may have its services at the same loopback addresses.
        """
        one = self.engine.run(
            self.new_name(),
            labels=labels,
            ports=[self._port],
            health=health,
            address=address or self.engine.next_address(),
            # Nobody outlives this: who was told to stop goes, or goes on stopping.
            stop_timeout=600,
        )
        self.unsettle(one)

    def tell_to_stop(self, one: ScriptedContainer) -> None:
        """Send its stop signal, which it does not obey yet."""
        self._told[one.id] = one.started_ns
        self.engine.signal(one, SIGTERM)
        # A clock that was set back makes the signal older than the life that it is to end.
        if (
            not self._is_calm
            or one.started_ns > self.engine.events.emitted[-1].time_nano
        ):
            self._unsure.add(one.id)

    def _stopping(self) -> tuple[set[str], set[str]]:
        """Return the names of those who were told to stop, and of those who may not be known."""
        going = [
            one
            for one in self.engine.containers
            if self._told.get(one.id) == one.started_ns
        ]
        unsure = {one.name for one in going if one.id in self._unsure}
        return {one.name for one in going}, unsure

    def unsettle(self, one: ScriptedContainer) -> None:
        """Note that something happens to a container that may cost it its slot."""
        self.keepers.discard(one.id)
        self._settled.discard(one.id)
        self._changed[one.id] = asyncio.get_running_loop().time()

    def new_name(self) -> str:
        """Return a name that no container had before."""
        self._named += 1
        return f"web-{self._named}"

    def churn(self, verb: str, pick: int) -> None:
        """Do something to a container (see ``CHURN``)."""
        CHURN[verb](self, pick)

    async def inject(self, trouble: str) -> None:
        """Let something go wrong (see ``TROUBLE``); on the socket one thing at a time.

        What HAProxy refused in an exchange that broke as well nobody can know.
        """
        self._is_calm = False
        self._troubled_at = min(self._troubled_at, asyncio.get_running_loop().time())
        if trouble in SOCKET:
            await self.relay.behave()
            self._in_force -= SOCKET.keys()
        await TROUBLE[trouble](self)
        if trouble in LASTING:
            self._in_force.add(trouble)

    @property
    def is_troubled(self) -> bool:
        """Whether something is wrong that does not pass by itself."""
        return bool(self._in_force)

    async def lift(self) -> None:
        """End all trouble: what was held back comes in reversed order."""
        is_away, self._in_force = "the engine is away" in self._in_force, set()
        await self.relay.behave()
        async with asyncio.timeout(CONVERGE_SECONDS):
            await self.relay.drained()
        self.engine.events.release(is_reversed=True)
        self.engine.events.behave()
        self.engine.faults.clear()
        if is_away:
            await self.engine.restart_engine()

    def bites(self) -> int:
        """Return how often something went wrong so far, as far as it can be counted."""
        counters = (self.relay.hits, self.engine.faults.hits, self.engine.events.hits)
        return sum(counter.total() for counter in counters)

    async def bitten(self, before: int) -> None:
        """Return once something more went wrong than ``before``, or raise TimeoutError."""
        async with asyncio.timeout(CONVERGE_SECONDS):
            while self.bites() == before:  # noqa: ASYNC110 - three counters
                await asyncio.sleep(POLL_SECONDS)

    async def outlast(self) -> None:
        """Let trouble last longer than the daemon's patience with HAProxy."""
        await asyncio.sleep(1.2 * self.timeout_seconds)

    async def restart_haproxy(self) -> None:
        """Replace HAProxy's process: the new one is empty."""
        self.keepers.clear()
        self._settled.clear()
        await asyncio.to_thread(self.haproxy.restart)

    async def restart_daemon(self) -> None:
        """SIGKILL, and start it again."""
        await self.relay.behave()
        self._in_force -= SOCKET.keys()
        # What the engine remembers of a signal may have been pushed out, or its clock set.
        self._unsure |= self._told.keys()
        await self.daemon.kill()
        await self.daemon.start()

    def differences(self) -> list[str]:
        """Return how HAProxy's own table differs from the truth."""
        stopping, unsure = self._stopping()
        truth = expected(
            self.engine,
            keepers=self.keepers,
            settled=self._settled,
            stopping=stopping,
            unsure=unsure,
            own_networks=self.own.networks if os.geteuid() == 0 else (),
        )
        return truth.differences(self.table())

    async def converge(self) -> None:
        """Return once the table is the truth. Raises AssertionError where it is not in time."""
        found = ["nothing was looked at"]
        try:
            async with asyncio.timeout(CONVERGE_SECONDS):
                while found := self.differences():  # noqa: ASYNC110 - HAProxy tells nobody
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as error:
            said = "\n".join(self.daemon.log[-LINES_SHOWN:])
            raise AssertionError(
                f"the map is not the truth: {found}; the daemon said last:\n{said}"
            ) from error
        # What trouble did to events may still be on its way: an end, say, after the start.
        settled_at = asyncio.get_running_loop().time() - SETTLED_SECONDS
        there = housed(self.engine, self.table())
        self.keepers = self._unchanged_since(self._troubled_at, there)
        self._settled = self._unchanged_since(settled_at, self.keepers)
        self._is_calm = not self._in_force
        if self._is_calm:
            self._troubled_at = float("inf")

    def _unchanged_since(self, moment: float, some: set[str]) -> set[str]:
        """Return those of some containers to whom nothing happened from a moment on."""
        return {one for one in some if self._changed.get(one, 0.0) < moment}

    async def stay(self) -> None:
        """Raise AssertionError unless the truth outlives two resyncs with nothing new."""
        await self.converge()
        requests = self.engine.requests
        async with asyncio.timeout(CONVERGE_SECONDS):
            await requests.seen("/containers/json", requests.lists + 2)
        assert self.differences() == []

    async def clear(self) -> None:
        """Remove every container that churn may touch, and wait until no slot shows it."""
        await self.lift()
        for one in self.restless():
            self.engine.remove(one)
        await self.converge()
