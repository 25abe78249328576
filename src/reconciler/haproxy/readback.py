"""Which addresses a round of actions waits to see, and which of them were seen. No I/O."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from reconciler.core.model import (
    Action,
    ConfirmAddress,
    Place,
    Server,
    ServerRef,
    SetAddress,
)
from reconciler.errors import LocalProtocolError, NoSuchServerError, RuntimeSocketError
from reconciler.haproxy import commands, replies, single
from reconciler.haproxy.replies import Reply


FEW_OF = 128
"""One server of so many may be asked for by itself: beyond that, the whole backend costs
less (measured with 64 and with 10,000 slots)."""

LOOKED_AT, LOOKED_AT_OF = 6, 16
"""The same for a look, and how many may be in any case: what it tells of connections takes two
more tables of a backend."""


class Numbers:
    """The numbers HAProxy gave its servers, by which it tells of a single one."""

    def __init__(self) -> None:
        self._by_backend: dict[str, dict[str, int]] = {}

    def learn(self, backends: Mapping[str, Mapping[str, Server]]) -> None:
        """Take in whole backends as they were read."""
        for backend, servers in backends.items():
            self._by_backend[backend] = {
                name: server.server_id for name, server in servers.items()
            }

    def forget(self) -> None:
        """Another process has other numbers, perhaps."""
        self._by_backend.clear()

    def of_few(
        self,
        backend: str,
        names: Collection[str],
        *,
        few: int = 1,
        few_of: int = FEW_OF,
    ) -> dict[str, int] | None:
        """Return the numbers of a few servers; None where the whole backend costs less.

        That is where they are more than ``few``, and more than one in ``few_of``; or where
        a number is not known.
        """
        known = self._by_backend.get(backend, {})
        if len(names) > few and len(names) * few_of > len(known):
            return None
        if not names or not all(name in known for name in names):
            return None
        return {name: known[name] for name in names}


class ReadBack:
    """The ConfirmAddress actions of one round, until each has its result.

    ``results`` is the caller's list, one place for each of ``actions``; a place stays None
    for what was confirmed, and gets its error otherwise.
    """

    def __init__(
        self,
        actions: Sequence[Action],
        confirms: Sequence[int],
        results: list[RuntimeSocketError | None],
        numbers: Numbers,
    ) -> None:
        self._actions = actions
        self._results = results
        self._numbers = numbers
        self._asked: list[tuple[str, str | None]] = []
        self._seen: dict[ServerRef, tuple[str, int]] = {}
        self._waiting: dict[int, ConfirmAddress] = {}
        for index in confirms:
            self._wait_for(index, actions[index])

    def _wait_for(self, index: int, action: Action) -> None:
        assert isinstance(action, ConfirmAddress)  # noqa: S101 - narrows the type
        try:
            commands.reference(action.ref)
            address = commands.address(action.address)
        except LocalProtocolError as error:
            self._results[index] = error
        else:
            if address != action.address:
                action = dataclasses.replace(action, address=address)
            self._waiting[index] = action

    @property
    def is_done(self) -> bool:
        """Whether nothing is waited for any more."""
        return not self._waiting

    def questions(self) -> list[str]:
        """Return what to ask now, of single servers or of whole backends."""
        waiting: dict[str, set[str]] = defaultdict(set)
        for action in self._waiting.values():
            waiting[action.ref.backend].add(action.ref.server)
        self._asked, lines = [], []
        for backend, names in sorted(waiting.items()):
            numbers = self._numbers.of_few(backend, names)
            if numbers is None:
                self._asked.append((backend, None))
                lines.append(commands.show_servers_state(backend))
                continue
            for name, number in sorted(numbers.items()):
                self._asked.append((backend, name))
                lines.append(commands.show_one_server(backend, number))
        return lines

    def give_up_refused(self, setters: Sequence[int]) -> None:
        """Stop waiting for the addresses that HAProxy refused to set in this round."""
        refused = {
            self._actions[index].ref: self._results[index]
            for index in setters
            if isinstance(self._actions[index], SetAddress)
            and self._results[index] is not None
        }
        for index, action in list(self._waiting.items()):
            if action.ref in refused:
                self._finish(index, refused[action.ref])

    def receive(self, answers: Sequence[Reply]) -> None:
        """Take the answers to the last questions; finish what they show, either way.

        Raises RemoteProtocolError for an answer that is no table.
        """
        waiting: dict[str, dict[str, list[int]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for index, action in self._waiting.items():
            waiting[action.ref.backend][action.ref.server].append(index)
        for (backend, server), answer in zip(self._asked, answers, strict=True):
            if server is None:
                self._receive_backend(waiting[backend], answer)
            elif server in waiting[backend]:
                self._receive_server(server, waiting[backend][server], answer)

    def _receive_backend(self, waiting: dict[str, list[int]], answer: Reply) -> None:
        refusal = _refusal(answer)
        found = {} if refusal else replies.server_addresses(answer, waiting)
        for server, indexes in waiting.items():
            self._take(indexes, answer, refusal, found.get(server))

    def _receive_server(self, name: str, indexes: list[int], answer: Reply) -> None:
        refusal = _refusal(answer)
        seen = None if refusal else single.row(answer)
        if seen is not None and not seen.address:
            self._numbers.forget()  # single rows do not tell: ask for whole backends
            return
        is_it = seen is not None and seen.server == name
        where = (seen.address, seen.port) if seen is not None and is_it else None
        self._take(indexes, answer, refusal, where)

    def _take(
        self,
        indexes: list[int],
        answer: Reply,
        refusal: RuntimeSocketError | None,
        where: Place | None,
    ) -> None:
        for index in indexes:
            if refusal is not None:
                self._finish(index, refusal)
            elif where is None:
                self._finish(index, self._absent(index, answer))
            else:
                self._compare(index, *where)

    def _compare(self, index: int, address: str, port: int) -> None:
        wanted = self._waiting[index]
        self._seen[wanted.ref] = (address, port)
        if address == wanted.address and wanted.port in (None, port):
            self._finish(index, None)
        elif wanted.before and address not in (wanted.before, wanted.address):
            self._finish(index, self._differs(index, "; another hand wrote it"))

    def _absent(self, index: int, answer: Reply) -> RuntimeSocketError:
        return NoSuchServerError(
            f"cannot {commands.purpose(self._waiting[index])}: "
            "haproxy reports no such server",
            command=answer.command,
            reply="",
        )

    def give_up(self) -> None:
        """Finish whatever is still waited for, with what HAProxy reports instead."""
        for index in list(self._waiting):
            self._finish(index, self._differs(index))

    def _differs(self, index: int, why: str = "") -> RuntimeSocketError:
        action = self._waiting[index]
        seen = commands.endpoint(*self._seen[action.ref])
        return RuntimeSocketError(
            f"cannot {commands.purpose(action)}: haproxy still reports {seen}{why}"
        )

    def _finish(self, index: int, error: RuntimeSocketError | None) -> None:
        self._results[index] = error
        del self._waiting[index]


def _refusal(answer: Reply) -> RuntimeSocketError | None:
    return replies.query_refusal(answer, f"read back {answer.command[5:]}")
