"""The run: scale up and down, update in both orders, lose a node."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from eyes import Eyes
from tests.support.engine import Engine, wait_until
from tests.support.load import Load
from tests.support.swarm_lab import SwarmLab
from tests.support.swarm_stack import PORT, SwarmStack


FEW, MANY, SOME = 3, 24, 6
QUIET_SECONDS = 4.0


@dataclass(slots=True)
class Found:
    """Seconds of each kind, and requests."""

    ready: list[float] = field(default_factory=list)
    """From running, for the manager, to ready, in one HAProxy."""
    drained: list[float] = field(default_factory=list)
    """From not wanted any more, for the manager, to out of rotation, in one HAProxy."""
    ahead: list[float] = field(default_factory=list)
    """From out of rotation in the last HAProxy to the stop signal."""
    detected: list[float] = field(default_factory=list)
    """From the cut to the manager's word for it."""
    lost: list[float] = field(default_factory=list)
    """From that to out of rotation."""
    checked: list[float] = field(default_factory=list)
    """From the cut to HAProxy's own check saying down."""
    requests: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Answered and failed, by what was going on."""


def measured(engine: Engine, *, rounds: int) -> Found:
    """Run everything, on a swarm of its own."""
    found = Found()
    with tempfile.TemporaryDirectory() as folder, SwarmLab(engine) as lab:
        say("three engines are a swarm")
        with SwarmStack(lab, Path(folder), ["global.yaml"]) as stack:
            stack.until_converged(FEW, haproxies=3, timeout_seconds=120)
            with Eyes(lab, stack) as eyes:
                for number in range(1, rounds + 1):
                    say(f"round {number} of {rounds}: {FEW}, {MANY}, {SOME} tasks")
                    _scale(lab, stack, found)
                for order in ("start-first", "stop-first"):
                    say(f"an update, {order}")
                    _update(lab, stack, found, order, SOME)
                say("an update of the only task, stop-first")
                stack.scale("web", 1)
                stack.until_converged(1, haproxies=3)
                _update(lab, stack, found, "stop-first", 1)
                say("a node is lost")
                _lose(lab, stack, eyes, found)
                time.sleep(QUIET_SECONDS)
            _reckon(eyes, found)
    return found


def say(text: str) -> None:
    """Say what is going on."""
    print(text, flush=True)


def _note(found: Found, what: str, load: Load) -> None:
    answered, failed = found.requests.get(what, (0, 0))
    found.requests[what] = (answered + load.answered, failed + len(load.failures))


def _scale(lab: SwarmLab, stack: SwarmStack, found: Found) -> None:
    stack.scale("web", FEW)
    stack.until_converged(FEW, haproxies=3)
    for count in (MANY, SOME):
        with Load(PORT, hosts=[node.address for node in lab.nodes]) as load:
            stack.scale("web", count)
            stack.until_converged(count, haproxies=3, timeout_seconds=120)
            time.sleep(QUIET_SECONDS)
        _note(found, "scale-up" if count == MANY else "scale-down", load)


def _update(
    lab: SwarmLab, stack: SwarmStack, found: Found, order: str, count: int
) -> None:
    before = set(stack.tasks("web"))
    with Load(PORT, hosts=[node.address for node in lab.nodes]) as load:
        stack.update("web", "--update-order", order)
        stack.until_updated(before, count, haproxies=3)
        time.sleep(QUIET_SECONDS)
    tasks = "the only task" if count == 1 else f"{count} tasks"
    _note(found, f"update of {tasks}, {order}", load)


def _lose(lab: SwarmLab, stack: SwarmStack, eyes: Eyes, found: Found) -> None:
    stack.scale("web", FEW)
    stack.until_converged(FEW, haproxies=3)
    stack.scale("web", 2 * SOME)
    tasks = stack.until_converged(2 * SOME, haproxies=3)
    node = lab.nodes[-1]
    node_id = node.node_id
    gone = {address for address, where in tasks.items() if where == node_id}
    hosts = [one.address for one in lab.nodes[:-1]]
    with Load(PORT, hosts=hosts) as load:
        cut = time.time()
        lab.cut(node)
        try:
            wait_until(
                lambda: lab.state_of(node) == "down",
                claim="the manager knows of the loss",
                timeout_seconds=60,
            )
            time.sleep(QUIET_SECONDS)
        finally:
            lab.mend(node)
    _note(found, "loss of a node", load)
    down = next(
        at for at, name, word in reversed(eyes.nodes) if word == "down" and name
    )
    found.detected.append(down - cut)
    for one in lab.nodes[:-1]:
        seen = [entry for entry in eyes.tables[one.hostname] if entry[0] >= cut]
        for address in gone:
            states = [(at, word) for at, where, word in seen if where == address]
            checked = [at for at, word in states if word == "down"]
            out = [at for at, word in states if word in {"out", "gone"}]
            found.checked += [at - cut for at in checked[:1]]
            found.lost += [at - down for at in out[:1]]


def _reckon(eyes: Eyes, found: Found) -> None:
    """Put together what the manager, the HAProxies and the engines told."""
    last_out: dict[str, list[float]] = {}
    for table in eyes.tables.values():
        in_rotation: dict[str, float] = {}
        is_out: set[str] = set()
        for at, address, word in table:
            # A slot whose first check is still to come is down, and in rotation for us.
            if word in {"ready", "down"} and address not in in_rotation:
                in_rotation[address] = at
            elif (
                word in {"out", "gone"}
                and address in in_rotation
                and address not in is_out
            ):
                is_out.add(address)
                last_out.setdefault(address, []).append(at)
        for address, at in in_rotation.items():
            if address in eyes.running and at >= eyes.running[address] - 1:
                found.ready.append(at - eyes.running[address])
    for address, moments in last_out.items():
        if address in eyes.unwanted:
            found.drained += [at - eyes.unwanted[address] for at in moments]
        if address in eyes.signalled and len(moments) == len(eyes.tables):
            found.ahead.append(eyes.signalled[address] - max(moments))
