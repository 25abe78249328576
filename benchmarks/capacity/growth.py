"""What slots cost HAProxy: memory, time to start, time for each question and command."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bare_haproxy import Running, Shape, running


SETTLE_SECONDS = 0.05
"""After filling, before the memory is read: HAProxy 2.9 and later changes addresses late."""
_QUESTIONS = 5
"""How often each question is asked in a round; the quickest answer counts."""
_FILL_CHECK_INTER = "10m"
"""While memory is measured no slot is really checked: nobody listens where they point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One size of HAProxy, measured in every round."""

    version: str
    slots: int
    backends: int = 1
    is_checked: bool = True
    threads: int = 1
    is_filled: bool = True
    """Whether every slot gets a tenant, which takes long where lookups are linear."""

    @property
    def name(self) -> str:
        """What the series are called."""
        name = f"{self.version} {self.slots} slots"
        if self.backends > 1:
            name += f" in {self.backends} backends"
        if not self.is_checked:
            name += " unchecked"
        return name + (f" nbthread {self.threads}" if self.threads > 1 else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One round's figures of one cell, in bytes and seconds. None: not measured."""

    memory: float
    filled: float | None
    start: float
    state: float
    """``show servers state BACKEND``."""
    page: float
    """``show stat BACKEND 4 -1``."""
    row: float
    """``show stat BACKEND 4 SID``: one server's line."""
    weight: float
    """One ``set server … weight``, of many that are pipelined, over all slots."""
    placing: float | None
    """One of the commands that fill the slots: an address or a state."""
    files: int
    """How many files HAProxy may open by its own count: ``Maxsock``."""


def measured(cell: Cell, commands: int) -> Measure:
    """Start one HAProxy, measure, and end it. Raises OSError where it does not start."""
    shape = Shape(
        version=cell.version,
        slots=cell.slots,
        backends=cell.backends,
        is_checked=cell.is_checked,
        threads=cell.threads,
        check_inter=_FILL_CHECK_INTER,
    )
    with running(shape) as haproxy:
        memory = haproxy.memory()
        session = haproxy.session()

        def best(line: str) -> float:
            return min(session.timed(line) for _ in range(_QUESTIONS))

        state, page = best("show servers state web1"), best("show stat web1 4 -1")
        row = best(f"show stat web1 4 {shape.slots_each + 1}")
        weights = list(_weights(shape, commands))
        weight = session.pipelined(weights) / len(weights)
        placing = filled = None
        if cell.slots and cell.is_filled:
            placing = _filled(shape, haproxy)
            time.sleep(SETTLE_SECONDS)
            filled = haproxy.memory()
        return Measure(
            memory=memory,
            filled=filled,
            start=haproxy.start_seconds,
            state=state,
            page=page,
            row=row,
            weight=weight,
            placing=placing,
            files=_files(session.ask("show info")),
        )


def _files(answer: bytes) -> int:
    found = re.search(rb"^Maxsock: (\d+)$", answer, re.MULTILINE)
    return int(found[1]) if found else 0


def _filled(shape: Shape, haproxy: Running) -> float:
    """Give every slot a tenant; return the seconds for one command."""
    lines = list(filling(shape))
    return haproxy.session().pipelined(lines) / len(lines)


def filling(shape: Shape) -> Iterator[str]:
    """Return the commands that make every slot ready at an address of its own."""
    for number in range(shape.slots):
        name = (
            f"web{number // shape.slots_each + 1}/slot{number % shape.slots_each + 1}"
        )
        address = f"127.1.{number // 250}.{number % 250 + 1}"
        yield f"set server {name} addr {address} port 8000"
        yield f"set server {name} state ready"


def _weights(shape: Shape, count: int) -> Iterator[str]:
    """Return commands spread evenly over all slots; over the one server without slots."""
    for number in range(count):
        slot = number * shape.slots // count
        name = "web1/sorry"
        if shape.slots:
            backend, index = divmod(slot, shape.slots_each)
            name = f"web{backend + 1}/slot{index + 1}"
        yield f"set server {name} weight 1"
