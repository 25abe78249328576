"""One pass: plan, apply phase by phase, and say what came of it.

A pass decides nothing by itself (the planner does) and remembers nothing (HAProxy does). A
refused action ends what was planned for its slot and nothing else. Where the conversation
with HAProxy breaks, the error goes to the caller, who observes before the next pass.

Actions of one phase travel together, so HAProxy may have done what stands behind the one
it refused. Such a slot could look like an operator's hold (out of rotation with a weight
above 0, or with an agent that is asked), and nobody would ever finish it: it gets our sign,
weight 0 or the agent's silence, at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from reconciler.core.effect import server_after_all
from reconciler.core.model import (
    Action,
    Agent,
    Change,
    ConfirmAddress,
    Plan,
    Server,
    ServerRef,
    SetAddress,
    SetAgent,
    SetHealthDown,
    SetHealthUp,
    SetWeight,
    Unplaced,
)
from reconciler.errors import RuntimeSocketError
from reconciler.ports import Proxy


SIGN_ATTEMPTS = 10
"""A HAProxy that refuses one command in passing is asked again; one that always does is not
asked for ever."""

SERVERS_AT_ONCE = 500
"""So many servers are noted at once: about 4 ms. Then the loop may turn."""


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
    writing_seconds: float = 0.0
    """How long it took to have them done, read-backs included."""

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
    done: dict[ServerRef, list[Action]] = field(default_factory=dict)
    """What was accepted, by server."""

    def note(
        self,
        actions: Sequence[Action],
        results: Sequence[RuntimeSocketError | None],
    ) -> list[ServerRef]:
        """Take in the results of a phase.

        Returns the slots of which an action was done after another had been refused; and
        those whose address was refused before our sign was set: to set one takes two
        commands, and the second may have been done.
        """
        half_done: dict[ServerRef, None] = {}
        for action, error in zip(actions, results, strict=True):
            ref = action.ref
            if error is not None:
                self.refusals.append((action, error))
                if isinstance(action, SetAddress) and ref in self.failed:
                    half_done[ref] = None
                self.failed.add(ref)
            elif not isinstance(action, ConfirmAddress):
                self.commands += 1
                self.done.setdefault(ref, []).append(action)
                if ref in self.failed:
                    half_done[ref] = None
        return list(half_done)


async def carry_out(
    plan: Plan, proxy: Proxy, servers: Servers, clock: Callable[[], float]
) -> Outcome:
    """Apply a plan; at the end ``servers`` are true with every action HAProxy accepted.

    Raises RuntimeSocketError where the conversation broke: ``servers`` are then as they were
    before, and HAProxy must be observed before anything else is planned.
    """
    progress, began = _Progress(), clock()
    last = max((n for n, phase in enumerate(plan.phases) if phase), default=0)
    for number, phase in enumerate(plan.phases):
        actions: Sequence[Action] = phase
        if progress.failed:
            actions = [a for a in phase if a.ref not in progress.failed]
        if actions:
            results = await proxy.apply(actions, verify=number == last)
            half_done = progress.note(actions, results)
            signs = [_sign_for(servers.get(ref)) for ref in half_done]
            await _sign(signs, proxy, progress)
    written = clock()
    await _take_in(progress.done, servers, written)
    changes = plan.changes
    if progress.failed:
        changes = tuple(c for c in changes if c.ref not in progress.failed)
    return Outcome(
        plan=plan,
        changes=changes,
        refusals=tuple(progress.refusals),
        commands=progress.commands,
        writing_seconds=written - began,
    )


async def _take_in(
    done: Mapping[ServerRef, Sequence[Action]], servers: Servers, now: float
) -> None:
    """Note what was done, each server once, however much was done to it."""
    for number, (ref, actions) in enumerate(done.items(), 1):
        # Health moves on by itself, within one check: a *down* kept here would be stale.
        passing = SetHealthDown | SetHealthUp
        lasting = [one for one in actions if not isinstance(one, passing)]
        servers.put(server_after_all(servers.get(ref), lasting, now=now))
        if number % SERVERS_AT_ONCE == 0:
            await asyncio.sleep(0)


def _sign_for(server: Server) -> Action:
    """Return what makes a slot out of rotation known for our own doing."""
    if server.agent is Agent.NONE:
        return SetWeight(server.ref, 0)
    return SetAgent(server.ref, is_enabled=False)


async def _sign(signs: Sequence[Action], proxy: Proxy, progress: _Progress) -> None:
    """Set our sign, so that the next pass knows the slots' state for our own doing."""
    left = list(signs)
    for _ in range(SIGN_ATTEMPTS):
        if not left:
            break
        results = await proxy.apply(left, verify=False)
        for sign, error in zip(left, results, strict=True):
            if error is None:
                progress.commands += 1
                progress.done.setdefault(sign.ref, []).append(sign)
        left = [s for s, error in zip(left, results, strict=True) if error is not None]
