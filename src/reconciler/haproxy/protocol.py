"""The runtime API's conversation, with no I/O: lines in, bytes out; bytes in, replies out.

HAProxy's own framing (a reply ends with an empty line) is not kept by every version: 2.6
leaves the empty line out after some errors, and `;` splits differently since 3.2. One
framing is right everywhere: *one command a line at a prompt*. After ``prompt``, HAProxy
writes its prompt once for every line, after the whole reply, so replies are told apart by
counting prompts, and lines may be pipelined (management manual 9.3).

Three conversations exist:

* a worker's own socket: the prompt is ``> `` on a line of its own;
* the master's socket (``-S``): after ``@1`` the prompt is the worker's pid, ``4711> ``,
  and it follows an empty reply with no line break before it;
* :class:`OneShotReply`, where a prompt is not to be had: one command a connection.

Guarantee: a reply is handed out only when its end was seen. Whatever ends earlier is a
RemoteProtocolError. How the bytes were cut into chunks never matters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from reconciler.errors import RemoteProtocolError, quoted


MAX_REPLY_BYTES = 64 * 1024 * 1024
"""A longer reply is an error. ``show stat`` for 100 000 servers is about 30 MB."""

WORKER_OPENING = ("prompt", "set severity-output number")
"""What opens a worker's session; each line is answered by one prompt."""

MASTER_OPENING = ("prompt", "@1", "set severity-output number")
"""The same through the master: ``@1`` is the newest worker."""

_WORKER_PROMPT = b"\n> "
_MASTER_PROMPT = re.compile(rb"(?:\A|\n)(?:master(?:\[ReloadFailed\])?|[0-9]{1,10})> ")
_LONGEST_PROMPT = 24
"""No prompt is longer, so a search need not look back further than this."""


class Session:
    """One prompt session. Feed it what arrives; it returns the replies that are complete."""

    def __init__(
        self, *, via_master: bool = False, max_reply_bytes: int = MAX_REPLY_BYTES
    ) -> None:
        self._via_master = via_master
        self._max_reply_bytes = max_reply_bytes
        self._buffer = bytearray()
        self._searched = 0
        self._expected = 0
        self.opening = MASTER_OPENING if via_master else WORKER_OPENING

    @property
    def expected(self) -> int:
        """How many replies are still to come."""
        return self._expected

    @property
    def pending(self) -> bytes:
        """What arrived of a reply that is not complete."""
        return bytes(self._buffer)

    def send(self, lines: Iterable[str]) -> bytes:
        """Return the bytes that carry these lines, and expect one reply for each.

        The lines are taken as they are: checking them is the business of ``commands``.
        Raises RemoteProtocolError where text that nobody asked for lies before them.
        """
        self._refuse_unasked()
        words = list(lines)
        self._expected += len(words)
        return "".join([f"{line}\n" for line in words]).encode("ascii")

    def receive_data(self, received: bytes) -> list[str]:
        """Take bytes from HAProxy; return the replies they complete, in order.

        Raises RemoteProtocolError for text that nobody asked for (whole replies before it
        are handed out first), and for a reply beyond the size limit.
        """
        self._refuse_unasked()
        self._buffer += received
        replies = self._complete()
        if not replies:
            self._refuse_unasked()
        if len(self._buffer) > self._max_reply_bytes:
            raise RemoteProtocolError(
                f"haproxy sent a reply of more than {self._max_reply_bytes} bytes"
            )
        return replies

    def _refuse_unasked(self) -> None:
        if self._buffer and not self._expected:
            raise RemoteProtocolError(
                f"haproxy sent text that nobody asked for: {quoted(_text(self._buffer))}"
            )

    def _complete(self) -> list[str]:
        if not self._via_master:
            return self._split()
        replies: list[str] = []
        start = 0
        while self._expected:
            found = self._find_prompt(start)
            if found is None:
                break
            replies.append(_text(self._buffer[start : found[0]]))
            self._expected -= 1
            start = self._searched = found[1]
        self._keep_from(start)
        return replies

    def _split(self) -> list[str]:
        """Take all complete replies at once: thousands of them come in one piece."""
        if self._buffer.find(_WORKER_PROMPT, self._searched) < 0:
            self._keep_from(0)
            return []
        parts = self._buffer.split(_WORKER_PROMPT, self._expected)
        rest = parts.pop()
        self._expected -= len(parts)
        self._keep_from(len(self._buffer) - len(rest))
        return [_text(part) if part else "" for part in parts]

    def _keep_from(self, start: int) -> None:
        del self._buffer[:start]
        # The next search starts where a prompt could still begin.
        self._searched = max(0, len(self._buffer) - _LONGEST_PROMPT)

    def _find_prompt(self, start: int) -> tuple[int, int] | None:
        # Through the master a prompt may stand right at the start of a reply.
        at_start = _MASTER_PROMPT.match(self._buffer[start : start + _LONGEST_PROMPT])
        if at_start is not None:
            return start + at_start.start(), start + at_start.end()
        match = _MASTER_PROMPT.search(self._buffer, max(start, self._searched))
        return None if match is None else match.span()

    def receive_end(self) -> None:
        """Note that HAProxy closed. Raises RemoteProtocolError if replies are missing."""
        if self._expected or self._buffer:
            raise RemoteProtocolError(
                f"haproxy closed the session with {self._expected} replies missing"
                + (f", after {quoted(_text(self._buffer))}" if self._buffer else "")
            )


class OneShotReply:
    """The reply to one command on a connection of its own: it ends when HAProxy closes."""

    def __init__(self, line: str, *, max_reply_bytes: int = MAX_REPLY_BYTES) -> None:
        self._line = line
        self._max_reply_bytes = max_reply_bytes
        self._buffer = bytearray()

    def send(self) -> bytes:
        """Return the bytes of the one command."""
        return self._line.encode("ascii") + b"\n"

    def receive_data(self, received: bytes) -> None:
        """Take bytes from HAProxy. Raises RemoteProtocolError beyond the size limit."""
        self._buffer += received
        if len(self._buffer) > self._max_reply_bytes:
            raise RemoteProtocolError(
                f"haproxy sent a reply of more than {self._max_reply_bytes} bytes"
            )

    def receive_end(self) -> str:
        """Return the reply, now that HAProxy closed.

        Raises RemoteProtocolError unless the reply shows its end: an empty line. 2.6 leaves
        that out after some refusals, which are one line; a table never is.
        """
        body = bytes(self._buffer)
        is_one_line = body.find(b"\n") == len(body) - 1 and bool(body)
        is_table = self._line.startswith("show ")
        if body == b"\n" or body.endswith(b"\n\n") or (is_one_line and not is_table):
            return _text(body)
        raise RemoteProtocolError(
            f"haproxy closed in the middle of its reply to {quoted(self._line)}, "
            f"after {quoted(_text(body[-64:]))}"
        )


def _text(body: bytes | bytearray) -> str:
    """Decode a reply without its line breaks at the end. Foreign bytes stay visible."""
    return body.decode("utf-8", "backslashreplace").rstrip("\n")
