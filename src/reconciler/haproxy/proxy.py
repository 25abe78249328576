"""One HAProxy as the loop sees it: observe its table, apply actions, know the process.

Guarantees beyond :class:`reconciler.ports.Proxy`:

* The last batch of a pass also asks which process answers. A worker that a reload left
  behind still takes commands on its old session, and they would change nothing that matters:
  such a batch raises ConnectError.
* ConfirmAddress succeeds only on what HAProxy *reports* after the change. Since 2.9 its
  answer to ``set server … addr`` comes before the effect, and even "nothing changed" may
  be followed by an earlier change that was still on its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from reconciler.core.cfg_facts import Facts
from reconciler.core.model import (
    Action,
    ConfirmAddress,
    Observed,
    Process,
    Server,
    ServerRef,
)
from reconciler.core.view import Reading
from reconciler.errors import (
    ConnectError,
    LocalProtocolError,
    NoSuchServerError,
    RuntimeSocketError,
)
from reconciler.haproxy import commands, replies, single
from reconciler.haproxy.client import DEFAULT_TIMEOUT_SECONDS, RuntimeClient
from reconciler.haproxy.readback import LOOKED_AT, LOOKED_AT_OF, Numbers, ReadBack
from reconciler.haproxy.replies import Reply
from reconciler.haproxy.tls import Tls
from reconciler.haproxy.versions import applies_address_later, reuse_needs_idle


CONFIRM_SECONDS = 1.0
"""How long a change of address may take to show. Measured: 1 to 2 ms for 1000 of them."""

_PAUSE_SECONDS = 0.0002
_LONGEST_PAUSE_SECONDS = 0.01
_SETTLE_SECONDS = 0.05
"""After a broken batch, changes of address may still be on their way: let them land, so
that the table read next is the one that stays."""


class RuntimeProxy:
    """A HAProxy behind a runtime socket. Implements :class:`reconciler.ports.Proxy`."""

    def __init__(
        self,
        address: str,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        tls: Tls | None = None,
    ) -> None:
        """Raises ConfigError if the address is none. Nothing is opened yet."""
        self._client = RuntimeClient(address, timeout_seconds=timeout_seconds, tls=tls)
        self._process: Process | None = None
        self._numbers = Numbers()
        self._is_unsettled = False

    @property
    def name(self) -> str:
        """The socket as the operator wrote it."""
        return self._client.address

    @property
    def client(self) -> RuntimeClient:
        """The client underneath, for questions that are no part of a pass."""
        return self._client

    async def observe(
        self,
        backends: Collection[str] | None = None,
        *,
        with_connections: bool | None = None,
        only: Collection[str] | None = None,
    ) -> Observed:
        """Read the process and the servers of some backends (None: of all).

        See :meth:`reconciler.ports.Proxy.observe`. Raises NoSuchServerError for a backend
        that HAProxy does not have.
        """
        await self._settle()
        names = [None] if backends is None else sorted(backends)
        if with_connections is None:
            process = self._process or await self.process()
            with_connections = reuse_needs_idle(process.release)
        lines = [commands.show_servers_state(name) for name in names]
        if with_connections:
            lines += [commands.show_servers_conn(name) for name in names]
            lines += [commands.show_server_stat(name) for name in names]
        first, answers = await self._ask_living(lines)
        states, uses = answers[: len(names)], answers[len(names) :]
        uses_read = uses if with_connections else None
        observed = await self._table(first, states, uses_read, only)
        self._note(observed, is_whole=only is None)
        return observed

    def _note(self, observed: Observed, *, is_whole: bool) -> None:
        self._note_process(observed.process)
        if is_whole:
            self._numbers.learn(observed.backends)
        self._is_unsettled = False

    def _note_process(self, process: Process) -> None:
        if not process.is_same(self._process):
            self._numbers.forget()
        self._process = process

    async def look(
        self, servers: Sequence[Server], *, verify: bool = True
    ) -> tuple[Process, list[Server]]:
        """Read a few servers anew, whatever the size of their backends.

        See :meth:`reconciler.ports.Proxy.look`. Raises NoSuchServerError.
        """
        await self._settle()
        names: dict[str, set[str]] = {}
        for server in servers:
            names.setdefault(server.ref.backend, set()).add(server.ref.server)
        few = {
            name: self._numbers.of_few(name, some, few=LOOKED_AT, few_of=LOOKED_AT_OF)
            for name, some in names.items()
        }
        alone = [one for one in servers if few[one.ref.backend] is not None]
        lines = [
            commands.show_one_server(one.ref.backend, one.server_id) for one in alone
        ]
        process, answers = self._process, list[Reply]()
        if verify or process is None:
            first, answers = await self._ask_living(lines)
            process = first.process
        elif lines:
            raw = await self._client.exchange(lines)
            answers = list(map(Reply.parse, lines, raw))
        seen: dict[ServerRef, Server] = {}
        for server, answer in zip(alone, answers, strict=True):
            row = single.row(replies.answered(answer))
            found = None if row is None else single.confirmed(server, row)
            if found is not None:
                seen[server.ref] = found
        missing = [one.ref for one in servers if one.ref not in seen]
        if missing and process.is_same(self._process):
            observed = await self.observe(
                {ref.backend for ref in missing},
                only={ref.server for ref in missing},
            )
            seen |= {ref: _found(observed, ref) for ref in missing}
            return observed.process, [seen[one.ref] for one in servers]
        self._note_process(process)
        self._is_unsettled = False
        return process, [seen.get(one.ref, one) for one in servers]

    async def facts(self, variables: Iterable[str]) -> Facts:
        """Read what HAProxy's configuration asks for. Raises RuntimeSocketError."""
        return await self._client.facts(variables)

    async def check_result(self, server: Server) -> str | None:
        """Read the result of one server's last check: what a single row tells.

        See :meth:`reconciler.ports.Proxy.check_result`. Raises RuntimeSocketError.
        """
        line = commands.show_one_server(server.ref.backend, server.server_id)
        (raw,) = await self._client.exchange([line])
        row = single.row(replies.answered(Reply.parse(line, raw)))
        is_it = row is not None and row.server == server.ref.server
        return row.check or None if row is not None and is_it else None

    async def _table(
        self,
        first: replies.Vitals,
        states: list[Reply],
        uses: list[Reply] | None,
        only: Collection[str] | None,
    ) -> Observed:
        now = asyncio.get_running_loop().time()
        connections: dict[str, int] = {}
        half = len(uses or ()) // 2
        for used, stat in zip((uses or ())[:half], (uses or ())[half:], strict=True):
            in_use = replies.connections_in_use(replies.answered(used))
            sessions = replies.sessions_open(replies.answered(stat))
            # In TCP mode HAProxy counts no connection as in use, only sessions.
            connections |= {k: max(n, sessions.get(k, 0)) for k, n in in_use.items()}
        found: dict[str, dict[str, Server]] = {}
        for state in states:
            parts = replies.servers_in_parts(
                replies.answered(state),
                now=now,
                uptime_seconds=first.uptime_seconds,
                connections=None if uses is None else connections,
                only=only,
            )
            for number, part in enumerate(parts):
                if number:
                    await asyncio.sleep(0)  # the loop turns: others may be waiting
                for server in part:
                    found.setdefault(server.ref.backend, {})[server.ref.server] = server
        backends: dict[str, Mapping[str, Server]] = {**found}
        return Observed(process=first.process, backends=backends)

    async def survey(
        self, *, with_connections: bool = True
    ) -> tuple[Observed, dict[ServerRef, Reading]]:
        """Return what :meth:`observe` and :meth:`readings` do, of one moment and in one go.

        Raises RuntimeSocketError.
        """
        await self._settle()
        lines = [commands.show_servers_state(), commands.show_server_stat()]
        if with_connections:
            lines.append(commands.show_servers_conn())
        first, (state, stat, *used) = await self._ask_living(lines)
        observed = await self._table(
            first, [state], [*used, stat] if used else None, None
        )
        self._note(observed, is_whole=True)
        return observed, replies.readings(replies.answered(stat))

    async def readings(self) -> dict[ServerRef, Reading]:
        """Return what HAProxy's statistics say of every server.

        See :meth:`reconciler.ports.Proxy.readings`. Raises RuntimeSocketError.
        """
        reply = await self._client.ask(commands.show_server_stat())
        found: dict[ServerRef, Reading] = {}
        for part in replies.readings_in_parts(reply):
            found |= part
            await asyncio.sleep(0)  # the loop turns: a pass may be waiting
        return found

    async def process(self) -> Process:
        """Read which process answers now. Raises RuntimeSocketError."""
        first, _ = await self._ask_living([])
        self._note_process(first.process)
        return first.process

    async def _ask_living(self, lines: list[str]) -> tuple[replies.Vitals, list[Reply]]:
        """Ask questions of a worker that is not about to go, on a new session if need be."""
        first, answers = await self._ask(lines)
        if first.process.is_stopping:
            await self._client.aclose()
            first, answers = await self._ask(lines)
        if first.process.is_stopping:
            raise ConnectError(
                f"the worker behind {self.name} (pid {first.process.pid}) is stopping, and "
                "no other has taken its place",
                address=self.name,
            )
        return first, answers

    async def _ask(self, lines: list[str]) -> tuple[replies.Vitals, list[Reply]]:
        raw = await self._client.exchange([commands.SHOW_INFO, *lines])
        first = replies.vitals(
            replies.answered(Reply.parse(commands.SHOW_INFO, raw[0]))
        )
        return first, list(map(Reply.parse, lines, raw[1:]))

    async def apply(
        self, actions: Sequence[Action], *, verify: bool = True
    ) -> list[RuntimeSocketError | None]:
        """Do these actions in order; return, for each, None or why it was refused.

        Setters and the read-backs behind them share a round trip, but where addresses are
        applied later than they are answered: then the read-back is one of its own, as one
        that comes along finds the old address and has to be repeated. A ConfirmAddress whose
        SetAddress was refused in the same call gets the same error, at once. With ``verify``
        it also asks which worker answers. Raises ConnectError where that is not the one
        that was observed, and other RuntimeSocketErrors where the conversation broke.
        """
        results: list[RuntimeSocketError | None] = [None] * len(actions)
        try:
            for setters, confirms in _rounds(actions):
                await self._round(actions, setters, confirms, results, verify=verify)
        except BaseException:
            self._is_unsettled = True
            raise
        for error in results:
            if error is not None:
                error.address = self.name
        return results

    async def _round(
        self,
        actions: Sequence[Action],
        setters: Sequence[int],
        confirms: Sequence[int],
        results: list[RuntimeSocketError | None],
        *,
        verify: bool,
    ) -> None:
        read_back = ReadBack(actions, confirms, results, self._numbers)
        process = self._process
        # Where an address is applied later, the question would come too early.
        is_late = process is not None and applies_address_later(process.release)
        questions = [] if is_late and setters else read_back.questions()
        if verify:
            questions.append(commands.SHOW_INFO)
        owners: list[int] = []
        answers = await self._client.exchange(
            chain(_lines(actions, setters, results, owners), questions)
        )
        for index, raw in zip(owners, answers, strict=False):
            # Thousands are silent or say that an address is set: no words for those.
            if raw and not replies.is_done(raw.removeprefix("[4]: ")):
                reply = Reply.parse(commands.command(actions[index]), raw)
                purpose = commands.purpose(actions[index])
                refusal = replies.setter_refusal(reply, purpose)
                results[index] = results[index] or refusal
        asked = [
            Reply.parse(line, raw)
            for line, raw in zip(questions, answers[len(owners) :], strict=True)
        ]
        if verify:
            await self._require_same_process(asked.pop())
        if asked:
            read_back.receive(asked)
        read_back.give_up_refused(setters)
        await self._await_addresses(read_back)

    async def _await_addresses(self, read_back: ReadBack) -> None:
        """Ask again until every address shows, or the time is over."""
        now = asyncio.get_running_loop().time
        deadline, pause = now() + CONFIRM_SECONDS, 0.0
        while not read_back.is_done and now() < deadline:
            await asyncio.sleep(pause)
            pause = min(2 * pause + _PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)
            read_back.receive(await self._client.execute(read_back.questions()))
        read_back.give_up()

    async def _require_same_process(self, answer: Reply) -> None:
        process = replies.vitals(replies.answered(answer)).process
        seen = self._process
        if seen is None:
            self._process = seen = process
        if process.is_same(seen) and not process.is_stopping:
            return
        await self._client.aclose()
        raise ConnectError(
            f"the worker behind {self.name} was replaced: pid {seen.pid} was observed, and "
            f"pid {process.pid} answered{' while stopping' if process.is_stopping else ''}",
            address=self.name,
        )

    async def _settle(self) -> None:
        """Let changes land that a broken batch may have left on their way."""
        process = self._process
        if self._is_unsettled and process and applies_address_later(process.release):
            await asyncio.sleep(_SETTLE_SECONDS)

    async def wait_closed(self) -> None:
        """Return when the persistent session has ended (or at once if there is none)."""
        await self._client.wait_closed()

    async def aclose(self) -> None:
        """Close the session. The next call opens another."""
        await self._client.aclose()


def _rounds(actions: Sequence[Action]) -> Iterator[tuple[list[int], list[int]]]:
    """Split actions, by their index, into rounds of setters and the confirms behind them."""
    setters: list[int] = []
    confirms: list[int] = []
    for index, action in enumerate(actions):
        if isinstance(action, ConfirmAddress):
            confirms.append(index)
            continue
        if confirms:
            yield setters, confirms
            setters, confirms = [], []
        setters.append(index)
    if actions:
        yield setters, confirms


def _lines(
    actions: Sequence[Action],
    setters: Sequence[int],
    results: list[RuntimeSocketError | None],
    owners: list[int],
) -> Iterator[str]:
    """Yield the setters' lines; what may not be sent gets its error.

    The index of each line's action goes to ``owners``.
    """
    for index in setters:
        try:
            lines = commands.lines(actions[index])
        except LocalProtocolError as error:
            purpose = commands.purpose(actions[index])
            results[index] = LocalProtocolError(f"cannot {purpose}: {error}")
            continue
        for line in lines:
            owners.append(index)
            yield line


def _found(observed: Observed, ref: ServerRef) -> Server:
    server = observed.backends.get(ref.backend, {}).get(ref.server)
    if server is None:
        raise NoSuchServerError(
            f"haproxy reports no server {ref} any more", command="", reply=""
        )
    return server
