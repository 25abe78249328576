"""What an action does to a server, as HAProxy does it: the planner's model of the world.

The loop keeps its table true with it after every accepted action, so that an event costs
no full read. The property tests run whole plans through it.
"""

from __future__ import annotations

import dataclasses
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
    return dataclasses.replace(server, admin=state, is_up=is_up, last_change=changed)
