"""TCP ports of 127.0.0.1, and addresses, for what a test starts."""

from __future__ import annotations

import os
import random
import socket
from contextlib import suppress


def free_ports(count: int) -> list[int]:
    """Return TCP ports of 127.0.0.1 that nobody listens on, all different.

    They are below the range that outgoing connections take theirs from: a port found free
    there may be one's own client's a moment later. And two processes that share the tests
    have ranges of their own.
    """
    found: list[int] = []
    for port in random.sample(_ports(), 200):
        with socket.socket() as one, suppress(OSError):
            one.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"there are no {count} free ports in {_ports()}")


def _ports() -> range:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 20000 + worker % 4 * 3000
    return range(first, first + 3000)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on."""
    return free_ports(1)[0]


def free_address() -> str:
    """Return an address of 127.14.0.0/16 on which no other test that runs now serves a port.

    It is as much one's own as a free port is, from which it is made.
    """
    high, low = divmod(free_port(), 256)
    return f"127.14.{high}.{low}"
