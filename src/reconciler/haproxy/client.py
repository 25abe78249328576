"""One runtime socket: connect, send lines, get whole replies. No meaning, only the wire.

The client keeps one prompt session and opens it when it is first needed. One batch runs at
a time. A batch either returns a reply for each of its lines or raises: then the session is
dropped, because nobody can tell which lines took effect, and the next batch opens another.

HAProxy may close an idle session whenever it likes (``stats timeout``, a restart); that is
no error. ``wait_closed`` tells at once, and the next batch reconnects.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self

from reconciler.core.cfg_facts import Facts
from reconciler.core.model import Server
from reconciler.errors import RemoteProtocolError, RuntimeSocketError
from reconciler.haproxy import commands, replies
from reconciler.haproxy.address import Address
from reconciler.haproxy.connection import PromptSession, one_shot
from reconciler.haproxy.protocol import MAX_REPLY_BYTES
from reconciler.haproxy.replies import Reply
from reconciler.haproxy.tls import Tls


_asked = logging.getLogger("reconciler.asked")

DEFAULT_TIMEOUT_SECONDS = 5.0
"""How long HAProxy may be silent in the middle of a batch. It answers in microseconds; a
busy process with hundreds of thousands of servers may need seconds."""


class RuntimeClient:
    """A HAProxy runtime socket, for this program or another.

    ``address`` is ``unix:///path``, ``tcp://host:port``, ``tls://host:port`` or
    ``master+unix:///path`` (through the master process, to its newest worker). Safe to share between tasks of one event
    loop: batches wait for each other. Cancelling a batch drops the session.
    """

    def __init__(
        self,
        address: str,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        max_reply_bytes: int = MAX_REPLY_BYTES,
        tls: Tls | None = None,
    ) -> None:
        """Raises ConfigError if the address is none. Nothing is opened yet.

        ``tls`` is for an address by ``tls://``.
        """
        self._address = Address.parse(address, tls)
        self._timeout_seconds = timeout_seconds
        self._max_reply_bytes = max_reply_bytes
        self._lock = asyncio.Lock()
        self._session: PromptSession | None = None
        self._has_prompt = True

    @property
    def address(self) -> str:
        """The address as it was given."""
        return self._address.text

    async def execute(self, lines: Sequence[str]) -> list[Reply]:
        """Send command lines, in order, as one batch; return a reply for each.

        A refusal is a reply, not an exception: see ``replies.setter_refusal``.

        Raises LocalProtocolError for a line that is not one safe command (then nothing was
        sent), ConnectError, ReplyTimeoutError, or RemoteProtocolError (then any of the
        lines may have taken effect).
        """
        checked = [commands.checked_line(line) for line in lines]
        if not checked:
            return []
        raw = await self.exchange(checked)
        return [
            Reply.parse(line, text) for line, text in zip(checked, raw, strict=True)
        ]

    async def exchange(self, lines: Iterable[str]) -> list[str]:
        """Send lines as :meth:`execute` does; return what HAProxy answered, as it is.

        For lines that :mod:`~reconciler.haproxy.commands` made: they are not checked again.
        What is no list is taken from as the lines are sent, and is never sent twice. Raises
        as ``execute`` does.
        """
        told: list[str] | None = [] if _asked.isEnabledFor(logging.DEBUG) else None
        if told is not None:
            lines = (
                [*_noted(lines, told)]
                if isinstance(lines, list)
                else _noted(lines, told)
            )
        async with self._lock:
            began, end = time.perf_counter(), "failed after "
            try:
                raw = await self._exchange(lines)
                end = ""
            except RuntimeSocketError as error:
                error.address = self.address
                raise
            finally:
                if told is not None:
                    self._tell(told, end, time.perf_counter() - began)
        return raw

    def _tell(self, lines: Sequence[str], end: str, seconds: float) -> None:
        """Say what was asked, a line for each command: those of a batch travel together."""
        together = "" if len(lines) == 1 else f", {len(lines)} commands together"
        for line in lines:
            _asked.debug(
                "asked haproxy at %s: %s (%s%.1f ms%s)",
                *(self.address, line, end, seconds * 1000, together),
            )

    async def ask(self, line: str) -> Reply:
        """Send one line and return its reply. Raises as ``execute`` does, and, where the
        reply is a refusal, the CommandRejectedError that fits it best.
        """
        (reply,) = await self.execute([line])
        try:
            return replies.answered(reply)
        except RuntimeSocketError as error:
            error.address = self.address
            raise

    async def show_info(self) -> replies.Info:
        """Return which process answers, and all else that it says of itself."""
        return replies.info(await self.ask(commands.SHOW_INFO))

    async def show_stat(self, proxy: str | None = None) -> list[replies.Stat]:
        """Return the statistics of one frontend or backend, or of all (None)."""
        return replies.stats(await self.ask(commands.show_stat(proxy)))

    async def facts(self, variables: Iterable[str] = ()) -> Facts:
        """Return what conditions and variables in HAProxy's file ask for.

        Of HAProxy's environment only these variables are asked for. With a lower level than
        operator it does not tell them, and before 3.0 not its features.
        """
        names = list(variables)
        told = await self.execute(
            [
                commands.SHOW_INFO,
                commands.SHOW_DEV,
                *(commands.show_env(name) for name in names),
            ]
        )
        return Facts(
            version=replies.info(told[0]).process.version,
            features=replies.features(told[1]),
            environment=replies.environment(dict(zip(names, told[2:], strict=True))),
        )

    async def show_servers_state(
        self, backend: str | None = None
    ) -> dict[str, dict[str, Server]]:
        """Return the servers of one backend, or of all (None), by backend and name."""
        info, state = await self.execute(
            [commands.SHOW_INFO, commands.show_servers_state(backend)]
        )
        return replies.servers(
            replies.answered(state),
            now=asyncio.get_running_loop().time(),
            uptime_seconds=replies.vitals(info).uptime_seconds,
        )

    async def show_servers_conn(self, backend: str | None = None) -> dict[str, int]:
        """Return how many connections each server has in use, by ``backend/server``."""
        return replies.connections_in_use(
            await self.ask(commands.show_servers_conn(backend))
        )

    async def wait_closed(self) -> None:
        """Return when the session has ended, or at once if there is none.

        Never returns where the socket knows no prompt: there no session is ever kept.
        """
        if self._session is not None:
            await self._session.wait_closed()
        elif not self._has_prompt:
            await asyncio.Event().wait()

    async def aclose(self) -> None:
        """Close the session. The next batch opens another."""
        session, self._session = self._session, None
        if session is not None:
            session.abort()
            await session.wait_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _exchange(self, lines: Iterable[str]) -> list[str]:
        session = self._session
        if session is not None and session.is_open:
            try:
                return await session.batch(lines)
            except RemoteProtocolError:
                # HAProxy may have closed the idle session just before we wrote. Questions
                # may be asked again; what changes something may not.
                if session.has_answered or not _are_questions(lines):
                    raise
        session = await self._opened()
        if session is None:
            return [await self._one_shot(line) for line in lines]
        return await session.batch(lines)

    async def _opened(self) -> PromptSession | None:
        """Return a new session, None where this socket knows no prompt."""
        self._session = None
        if not self._has_prompt:
            return None
        session = PromptSession(
            self._address, self._timeout_seconds, self._max_reply_bytes
        )
        self._has_prompt = await session.open()
        if self._has_prompt:
            self._session = session
        return self._session

    async def _one_shot(self, line: str) -> str:
        return await one_shot(
            self._address, line, self._timeout_seconds, self._max_reply_bytes
        )


def _are_questions(lines: Iterable[str]) -> bool:
    return isinstance(lines, list) and all(line.startswith("show ") for line in lines)


def _noted(lines: Iterable[str], told: list[str]) -> Iterator[str]:
    """Yield the same lines, and note those that are taken."""
    for line in lines:
        told.append(line)
        yield line
