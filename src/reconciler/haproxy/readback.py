"""Which addresses a round of actions waits to see, and which of them were seen. No I/O."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence

from reconciler.core.model import Action, ConfirmAddress, ServerRef, SetAddress
from reconciler.errors import LocalProtocolError, NoSuchServerError, RuntimeSocketError
from reconciler.haproxy import commands, replies
from reconciler.haproxy.replies import Reply


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
    ) -> None:
        self._actions = actions
        self._results = results
        self._asked: list[str] = []
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
            self._waiting[index] = dataclasses.replace(action, address=address)

    @property
    def is_done(self) -> bool:
        """Whether nothing is waited for any more."""
        return not self._waiting

    def questions(self) -> list[str]:
        """Return what to ask now: one question for each backend that is waited for."""
        self._asked = sorted({action.ref.backend for action in self._waiting.values()})
        return [commands.show_servers_state(backend) for backend in self._asked]

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
        for backend, answer in zip(self._asked, answers, strict=True):
            self._receive_backend(waiting[backend], answer)

    def _receive_backend(self, waiting: dict[str, list[int]], answer: Reply) -> None:
        refusal = replies.query_refusal(answer, f"read back {answer.command[5:]}")
        found = {} if refusal else replies.server_addresses(answer, waiting)
        for server, indexes in waiting.items():
            for index in indexes:
                if refusal is not None:
                    self._finish(index, refusal)
                elif server not in found:
                    self._finish(index, self._absent(index, answer))
                else:
                    self._compare(index, *found[server])

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
