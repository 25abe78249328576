"""What an action does to a server, as HAProxy does it: the planner's model of the world.

The loop keeps its table true with it after every accepted action, so that an event costs
no full read. The property tests run whole plans through it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, assert_never

from reconciler.core.model import (
    Action,
    AdminState,
    Agent,
    ConfirmAddress,
    Server,
    SetAddress,
    SetAgent,
    SetHealthDown,
    SetHealthUp,
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
    return server_after_all(server, (action,), now=now)


def server_after_all(
    server: Server, actions: Iterable[Action], *, now: float | None = None
) -> Server:
    """Return a server after several actions, as :func:`server_after` does after each."""
    changes: dict[str, Any] = {}
    for action in actions:
        match action:
            case SetState(_, state):
                _note_state(server, changes, state, now)
            case SetWeight(_, weight):
                changes["weight"] = weight
            case SetAddress(_, address, port):
                changes["address"] = address
                if port is not None:
                    changes["port"] = port
            case SetHealthDown() | SetHealthUp():
                changes["is_up"] = isinstance(action, SetHealthUp)
            case SetAgent(_, is_enabled):
                changes["agent"] = Agent.ACTIVE if is_enabled else Agent.SILENCED
            case ShutdownSessions():
                changes["connections"] = 0
            case ConfirmAddress():
                pass
            case _ as never:
                assert_never(never)
    return dataclasses.replace(server, **changes) if changes else server


def _note_state(
    server: Server, changes: dict[str, Any], state: AdminState, now: float | None
) -> None:
    before: AdminState = changes.get("admin", server.admin)
    if state is before:
        return
    was_up: bool = changes.get("is_up", server.is_up)
    changes["admin"] = state
    if state is AdminState.MAINT:
        changes["is_up"] = False
    else:
        changes["is_up"] = was_up or before is AdminState.MAINT
    if now is not None:
        changes["last_change"] = now
    if state is AdminState.READY:
        changes["out_since"] = None
    elif changes.get("out_since", server.out_since) is None:
        changes["out_since"] = now


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
