"""A HAProxy in memory: it does what the planner's model says, and goes wrong on demand."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from tests.fakes.containers import process as worker, tables as free_tables

from reconciler.core.cfg_facts import Facts
from reconciler.core.effect import server_after
from reconciler.core.model import (
    Action,
    ConfirmAddress,
    Observed,
    Process,
    Server,
    ServerRef,
    SetAddress,
    ShutdownSessions,
)
from reconciler.core.view import Reading
from reconciler.errors import (
    CommandRejectedError,
    ConnectError,
    RemoteProtocolError,
    RuntimeSocketError,
)
from reconciler.haproxy.versions import reuse_needs_idle


WAIT_SECONDS = 10.0


class FakeProxy:
    """Implements :class:`reconciler.ports.Proxy` over tables in memory.

    ``observed`` has the scope of every observe (None: everything), ``writes`` every action
    that changed something. ``refuses`` picks actions to refuse, and with
    ``does_what_it_refuses`` addresses are set all the same; ``break_after`` is how many
    more actions are done before the conversation breaks; ``is_dead`` refuses every
    connection; ``gate`` cleared makes every call wait. Like HAProxy's tables, those in
    memory tell no connections: ``connections`` has them, for whoever asks, and ``counted``
    the scope of every observe that asked. ``tells_dates`` has each change of state dated, the
    same for all of one call. ``looked`` has the servers of every look.
    """

    def __init__(
        self,
        name: str = "unix:///fake",
        *,
        slots: int = 4,
        backends: Sequence[str] = ("web",),
        version: str = "3.0.11",
    ) -> None:
        self._name = name
        self._version = version
        self._slots = slots
        self._backends = backends
        self.tables = free_tables(slots, backends=backends)
        self.worker = worker(1, version=version)
        self.observed: list[frozenset[str] | None] = []
        self.counted: list[frozenset[str] | None] = []
        self.connections: dict[ServerRef, int] = {}
        self.statistics: dict[ServerRef, Reading] = {}
        self.looked: list[list[ServerRef]] = []
        self.writes: list[Action] = []
        self.batches = 0
        self.verified = 0
        self.process_asked = 0
        self.readings_asked = 0
        self.refuses: Callable[[Action], bool] = lambda _: False
        self.does_what_it_refuses = False
        self.break_after: int | None = None
        self.is_dead = False
        self.tells_dates = False
        self._moment: float | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        self.is_closed = False
        self._session: asyncio.Event | None = None
        self._news = asyncio.Event()

    @property
    def name(self) -> str:
        """The socket as the operator would have written it."""
        return self._name

    def restart(self) -> None:
        """Come up as another process, with every slot free, and end all sessions."""
        self.tables = free_tables(self._slots, backends=self._backends)
        self.replace_worker()
        self.end_session()

    def replace_worker(self) -> None:
        """Answer as another process from now on, on the same session."""
        self.worker = worker(self.worker.pid + 1, version=self._version)

    def end_session(self) -> None:
        """Close the persistent session."""
        session, self._session = self._session, None
        if session is not None:
            session.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once the condition holds; it is looked at with every call that comes."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition():
                await self._news.wait()

    def set(self, ref: ServerRef, **changes: object) -> None:
        """Change a server behind everybody's back, as an operator would."""
        server = self.tables[ref.backend][ref.server]
        self.tables[ref.backend][ref.server] = dataclasses.replace(
            server,
            **changes,  # type: ignore[arg-type] # the caller knows the fields
        )

    def homes(self, backend: str = "web") -> dict[str, str]:
        """Return slot by address, for slots that somebody lives in."""
        return {
            server.address: name
            for name, server in self.tables[backend].items()
            if name.startswith("slot") and not server.is_free
        }

    async def observe(
        self,
        backends: Collection[str] | None = None,
        *,
        with_connections: bool | None = None,
        only: Collection[str] | None = None,
    ) -> Observed:
        """Read the tables; None reads connections where the version needs that."""
        scope = None if backends is None else frozenset(backends)
        self.observed.append(scope)
        if with_connections is None:
            with_connections = reuse_needs_idle(self.worker.release)
        if with_connections:
            self.counted.append(scope)
        await self._reach()
        found: Mapping[str, Mapping[str, Server]] = {
            name: {
                server.ref.server: dataclasses.replace(
                    server,
                    connections=self.connections.get(server.ref, 0)
                    if with_connections
                    else None,
                )
                for server in servers.values()
                if only is None or server.ref.server in only
            }
            for name, servers in self.tables.items()
            if backends is None or name in backends
        }
        return Observed(process=self.worker, backends=found)

    async def look(
        self,
        servers: Sequence[Server],
        *,
        verify: bool = True,  # noqa: ARG002
    ) -> tuple[Process, list[Server]]:
        """Read a few servers, with their connections."""
        self.looked.append([one.ref for one in servers])
        await self._reach()
        return self.worker, [
            dataclasses.replace(
                self.tables[one.ref.backend][one.ref.server],
                connections=self.connections.get(one.ref, 0),
            )
            for one in servers
        ]

    async def apply(
        self, actions: Sequence[Action], *, verify: bool = True
    ) -> list[RuntimeSocketError | None]:
        """Do the actions, but for those that are to be refused."""
        self.batches += 1
        self.verified += verify
        self._moment = asyncio.get_running_loop().time() if self.tells_dates else None
        await self._reach()
        return [self._do(action) for action in actions]

    def _do(self, action: Action) -> RuntimeSocketError | None:
        if self.break_after is not None:
            if self.break_after == 0:
                self.break_after = None
                raise RemoteProtocolError("haproxy closed mid-reply", address=self.name)
            self.break_after -= 1
        if self.refuses(action):
            if self.does_what_it_refuses and isinstance(action, SetAddress):
                self._change(action)
            return CommandRejectedError(
                f"cannot change {action.ref}", command="set server", reply="No such."
            )
        servers = self.tables[action.ref.backend]
        server = servers[action.ref.server]
        if isinstance(action, ConfirmAddress):
            is_shown = server.address == action.address
            return (
                None
                if is_shown
                else CommandRejectedError(
                    f"{action.ref} is not at {action.address}", command="", reply=""
                )
            )
        self._change(action)
        if isinstance(action, ShutdownSessions):
            self.connections.pop(action.ref, None)
        self.writes.append(action)
        return None

    def _change(self, action: Action) -> None:
        servers = self.tables[action.ref.backend]
        server = servers[action.ref.server]
        servers[action.ref.server] = server_after(server, action, now=self._moment)

    async def process(self) -> Process:
        """Say which process answers."""
        self.process_asked += 1
        await self._reach()
        return self.worker

    async def readings(self) -> Mapping[ServerRef, Reading]:
        """Return the statistics that a test put into ``statistics``."""
        self.readings_asked += 1
        await self._reach()
        return dict(self.statistics)

    async def facts(self, variables: Iterable[str]) -> Facts:
        """Tell the version, and that none of the variables is set."""
        await self._reach()
        environment = dict.fromkeys(variables)
        return Facts(version=self.worker.version, environment=environment)

    async def check_result(self, server: Server) -> str | None:
        """Return the result that a test put into ``statistics``."""
        await self._reach()
        found = self.statistics.get(server.ref)
        return None if found is None else found.check

    async def wait_closed(self) -> None:
        """Return when the session ends, or at once where there is none."""
        if self._session is not None:
            await self._session.wait()

    async def aclose(self) -> None:
        """Remember that it was closed."""
        self.is_closed = True

    async def _reach(self) -> None:
        self.waiting += 1
        self._news.set()
        self._news = asyncio.Event()
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        # A pass is never instantaneous: let others run.
        await asyncio.sleep(0)
        if self.is_dead:
            raise ConnectError("cannot connect: nobody listens", address=self.name)
        if self._session is None:
            self._session = asyncio.Event()
