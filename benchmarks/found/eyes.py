"""Eyes that see a HAProxy come, at an address of its own as in a container."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from scale.rig import RigError
from scale.runtime import Runtime, wrong_slots
from tests.support.edge import PORT


BACKEND = "web"
RIGHT_SECONDS = 30.0
_KNOCK_SECONDS = 0.0005
_LOOK_SECONDS = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """When one was seen, in Unix seconds."""

    answered: float
    """Its runtime socket, for the first time."""
    right: float
    """All of its slots."""


def seen(address: str, alive: Sequence[str]) -> Sighting:
    """Wait until it answers, and then until its slots are right: blocks.

    No code of ours is asked: a bare connection, and lines of the runtime API. Raises RigError.
    """
    deadline = time.monotonic() + RIGHT_SECONDS
    while not _answers(address):
        if time.monotonic() > deadline:
            raise RigError(f"{address} does not answer")
        time.sleep(_KNOCK_SECONDS)
    answered = time.time()
    runtime = Runtime((address, PORT))
    try:
        # One row says how many are in rotation: what looks takes little from who is looked at.
        while runtime.active([BACKEND]) < len(alive):
            if time.monotonic() > deadline:
                raise RigError(f"{address} is not filled")
            time.sleep(_LOOK_SECONDS)
        right = time.time()
        if wrong := wrong_slots(runtime.table(BACKEND), alive):
            raise RigError(f"{address} is filled wrongly: {wrong[:3]}")
        return Sighting(answered=answered, right=right)
    finally:
        runtime.close()


def _answers(address: str) -> bool:
    with socket.socket() as one, contextlib.suppress(OSError):
        one.settimeout(1.0)
        one.connect((address, PORT))
        one.sendall(b"show info\n")
        return bool(one.recv(1))
    return False
