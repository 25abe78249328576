"""What became of each request, one fixed-size record each, in a file.

A file, because a long run makes millions of them and the process that sends them should
not grow. Times are seconds of the machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple


_FORMAT = struct.Struct("<dffBBHH")
_AT_ONCE = 4096


class Failure(IntEnum):
    """Why a request counts as lost, from the client's side."""

    NONE = 0
    CONNECT = 1
    """No connection."""
    RESET = 2
    """The connection ended before one byte of the answer."""
    TRUNCATED = 3
    """The connection ended within the answer."""
    TIMED_OUT = 4
    STATUS = 5
    """A whole answer whose status is not 200."""
    FOREIGN = 6
    """Status 200, but from somebody else than the service that was asked for."""
    UNSENT = 7
    """Too many requests were open already: the generator gave up, nobody else."""


class Record(NamedTuple):
    """One request."""

    due: float
    """When it had to be sent: the constant rate's timetable, not the generator's mood."""
    late: float
    """How much later the generator got to it, in seconds."""
    took: float
    """From ``due`` to the end of the answer, or to the failure, in seconds."""
    is_kept: bool
    """On a connection that was kept open; else on one of its own."""
    failure: Failure
    status: int
    """The answer's status, 0 where there was none; of a failed connect, its errno."""

    stopping_ms: int = 0
    """How long ago the container that answered had been told to stop, in milliseconds; 0
    where it had not been."""

    def packed(self) -> bytes:
        """Return it as it stands in the file."""
        return _FORMAT.pack(*self)

    @property
    def cause(self) -> str:
        """What a table calls the failure: ``503`` for a status, else the kind's name."""
        if self.failure is Failure.STATUS:
            return str(self.status)
        if self.failure is Failure.CONNECT:
            return f"connect {errno.errorcode.get(self.status, self.status)}"
        return self.failure.name.lower().replace("_", " ")


def records_in(path: Path) -> Iterator[Record]:
    """Read a file of records, in the order in which the requests ended."""
    with path.open("rb") as file:
        while block := file.read(_FORMAT.size * _AT_ONCE):
            whole = len(block) - len(block) % _FORMAT.size
            for due, late, took, is_kept, failure, *more in _FORMAT.iter_unpack(
                block[:whole]
            ):
                yield Record(
                    due, late, took, bool(is_kept), Failure(failure), *map(int, more)
                )
