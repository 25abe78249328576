"""One pass: plan, apply phase by phase, and say what came of it.

A pass decides nothing by itself (the planner does) and remembers nothing (HAProxy does). A
refused action ends what was planned for its slot and nothing else. Where the conversation
with HAProxy breaks, the error goes to the caller, who observes before the next pass.

Actions of one phase travel together, so HAProxy may have done what stands behind the one
it refused. Such a slot could look like an operator's hold (out of rotation with a weight
above 0), and nobody would ever finish it: it gets our signature, weight 0, at once.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from reconciler.core.effect import server_after_all
from reconciler.core.model import (
    Action,
    Change,
    ConfirmAddress,
    Plan,
    Server,
    ServerRef,
    SetHealthDown,
    SetWeight,
    Unplaced,
)
from reconciler.errors import RuntimeSocketError
from reconciler.ports import Proxy


SIGN_ATTEMPTS = 10
"""A HAProxy that refuses one command in passing is asked again; one that always does is not
asked for ever."""

ACTIONS_AT_ONCE = 1000
"""So many accepted actions are noted at once: about 3 ms. Then the loop may turn."""


class Servers(Protocol):
    """The loop's own copy of what HAProxy has."""

    def get(self, ref: ServerRef) -> Server:
        """Return a server as it is known."""

    def put(self, server: Server) -> None:
        """It is different now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one pass did."""

    plan: Plan
    changes: tuple[Change, ...] = ()
    """The changes of the plan that took effect."""
    refusals: tuple[tuple[Action, RuntimeSocketError], ...] = ()
    commands: int = 0
    """Commands that changed something (read-backs not counted)."""

    @property
    def unplaced(self) -> tuple[Unplaced, ...]:
        """Who has no slot after this pass."""
        return self.plan.unplaced

    @property
    def has_converged(self) -> bool:
        """Whether everything planned was done."""
        return not self.refusals


@dataclass(slots=True)
class _Progress:
    """What has happened so far in a pass."""

    refusals: list[tuple[Action, RuntimeSocketError]] = field(default_factory=list)
    failed: set[ServerRef] = field(default_factory=set)
    commands: int = 0


async def carry_out(
    plan: Plan, proxy: Proxy, servers: Servers, clock: Callable[[], float]
) -> Outcome:
    """Apply a plan, keeping ``servers`` true with every action HAProxy accepted.

    Raises RuntimeSocketError where the conversation broke: ``servers`` then hold what was
    answered, and HAProxy must be observed before anything else is planned.
    """
    progress = _Progress()
    last = max((n for n, phase in enumerate(plan.phases) if phase), default=0)
    for number, phase in enumerate(plan.phases):
        actions = [a for a in phase if a.ref not in progress.failed]
        if actions:
            results = await proxy.apply(actions, verify=number == last)
            await _take_in(progress, actions, results, servers, clock())
            half_done = _half_done(actions, results)
            progress.commands += await _sign(half_done, proxy, servers)
    return Outcome(
        plan=plan,
        changes=tuple(c for c in plan.changes if c.ref not in progress.failed),
        refusals=tuple(progress.refusals),
        commands=progress.commands,
    )


async def _take_in(
    progress: _Progress,
    actions: Sequence[Action],
    results: Sequence[RuntimeSocketError | None],
    servers: Servers,
    now: float,
) -> None:
    """Note what was done, each server once, however much was done to it."""
    done: dict[ServerRef, list[Action]] = {}
    for action, error in zip(actions, results, strict=True):
        if error is not None:
            progress.refusals.append((action, error))
            progress.failed.add(action.ref)
        elif not isinstance(action, ConfirmAddress):
            progress.commands += 1
            # Health moves on by itself, within one check: a *down* kept here would be stale.
            if not isinstance(action, SetHealthDown):
                done.setdefault(action.ref, []).append(action)
    noted = 0
    for ref, some in done.items():
        servers.put(server_after_all(servers.get(ref), some, now=now))
        noted += len(some)
        if noted >= ACTIONS_AT_ONCE:
            noted = 0
            await asyncio.sleep(0)


def _half_done(
    actions: Sequence[Action], results: Sequence[RuntimeSocketError | None]
) -> list[ServerRef]:
    """Return the slots of which an action was done after another had been refused."""
    refused: set[ServerRef] = set()
    found: dict[ServerRef, None] = {}
    for action, error in zip(actions, results, strict=True):
        if error is not None:
            refused.add(action.ref)
        elif action.ref in refused and not isinstance(action, ConfirmAddress):
            found[action.ref] = None
    return list(found)


async def _sign(refs: Sequence[ServerRef], proxy: Proxy, servers: Servers) -> int:
    """Set weight 0, so that the next pass knows the slots' state for our own doing.

    Returns how many slots got it.
    """
    left = list(refs)
    for _ in range(SIGN_ATTEMPTS):
        if not left:
            break
        signs = [SetWeight(ref, 0) for ref in left]
        results = await proxy.apply(signs, verify=False)
        answered = list(zip(left, results, strict=True))
        for ref in [ref for ref, error in answered if error is None]:
            servers.put(dataclasses.replace(servers.get(ref), weight=0))
        left = [ref for ref, error in answered if error is not None]
    return len(refs) - len(left)
