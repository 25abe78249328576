"""What an action does to a server, as HAProxy does it: the planner's model of the world.

The loop keeps its table true with it after every accepted action, so that an event costs
no full read. The property tests run whole plans through it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import assert_never

from reconciler.core.model import (
    Action,
    AdminState,
    ConfirmAddress,
    Server,
    SetAddress,
    SetHealthDown,
    SetState,
    SetWeight,
    ShutdownSessions,
)


def server_after(server: Server, action: Action, *, now: float | None = None) -> Server:
    """Return a server as it is once HAProxy has accepted and applied an action.

    ``now`` (seconds, any monotonic clock) dates a change of state. A server that leaves
    maint is up at once even with a check on it: measured on 2.6 to 3.2, where the line does
    not say ``init-state``.
    """
    match action:
        case SetState(_, state):
            return _with_state(server, state, now)
        case SetWeight(_, weight):
            return dataclasses.replace(server, weight=weight)
        case SetAddress(_, address, port):
            kept = server.port if port is None else port
            return dataclasses.replace(server, address=address, port=kept)
        case SetHealthDown():
            return dataclasses.replace(server, is_up=False)
        case ShutdownSessions():
            return dataclasses.replace(server, connections=0)
        case ConfirmAddress():
            return server
        case _ as never:
            assert_never(never)


def _with_state(server: Server, state: AdminState, now: float | None) -> Server:
    if state is server.admin:
        return server
    if state is AdminState.MAINT:
        is_up = False
    else:
        is_up = server.is_up or server.admin is AdminState.MAINT
    changed = server.last_change if now is None else now
    out_since = server.out_since
    if state is AdminState.READY:
        out_since = None
    elif out_since is None:
        out_since = now
    return dataclasses.replace(
        server, admin=state, is_up=is_up, last_change=changed, out_since=out_since
    )


def dated_tables(
    fresh: Mapping[str, Mapping[str, Server]],
    known: Mapping[str, Mapping[str, Server]],
    *,
    now: float,
) -> dict[str, dict[str, Server]]:
    """Return whole tables just read, each server dated as :func:`dated` does."""
    return {
        backend: {
            name: dated(server, known.get(backend, {}).get(name), now=now)
            for name, server in servers.items()
        }
        for backend, servers in fresh.items()
    }


def dated(fresh: Server, known: Server | None, *, now: float) -> Server:
    """Return a server just read, with what only we know of it: since when it is out.

    ``known`` is our own last reading of it, None where there is none. A drain that nobody
    dated counts from now: its tenant gets more time, never less.
    """
    if fresh.admin is AdminState.READY:
        return fresh
    out_since = None
    if known is not None and known.out_since is not None:
        is_same_tenant = fresh.is_free or (
            (known.address, known.port) == (fresh.address, fresh.port)
        )
        out_since = known.out_since if is_same_tenant else None
    if out_since is None:
        if fresh.admin is not AdminState.DRAIN:
            return fresh
        out_since = now
    return dataclasses.replace(fresh, out_since=out_since)
