"""What health checks cost HAProxy: of slots in maint (nothing, one hopes), and of ready ones."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bare_haproxy import Running, Shape, running


INTER_SECONDS = 0.5
"""As in haproxy/base.cfg."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckCost:
    """Shares of a core by version, one for each round."""

    empty: dict[str, list[float]]
    """With no slots: what HAProxy costs that does nothing."""
    in_maint: dict[str, list[float]]
    a_check: dict[str, list[float]]
    """Processor seconds for one check of a ready slot."""


def check_cost(
    versions: Sequence[str],
    *,
    in_maint: int,
    ready: int,
    rounds: int,
    round_seconds: float,
) -> CheckCost:
    """Measure HAProxies side by side, in rounds. Raises OSError where one does not start."""
    with ExitStack() as stack:

        def start(shape: Shape) -> Running:
            return stack.enter_context(running(shape))

        closer = start(Shape(version=versions[-1], answer=_CLOSE))
        empty = {v: start(Shape(version=v)) for v in versions}
        idle = {v: start(Shape(version=v, slots=in_maint)) for v in versions}
        busy = {v: start(Shape(version=v, slots=ready)) for v in versions}
        for one in busy.values():
            one.session().pipelined(list(_make_ready(ready, closer.port)))
        everything = [*empty.values(), *idle.values(), *busy.values()]
        shares = _shares(everything, rounds, round_seconds)
    of = dict(zip((one.pid for one in everything), shares, strict=True))
    checks_a_second = ready / INTER_SECONDS
    return CheckCost(
        empty={v: of[one.pid] for v, one in empty.items()},
        in_maint={v: of[one.pid] for v, one in idle.items()},
        a_check={
            v: [share / checks_a_second for share in of[one.pid]]
            for v, one in busy.items()
        },
    )


_CLOSE = "tcp-request connection reject"
"""A check of a TCP port is over once it is connected: this end need not say anything."""


def _make_ready(slots: int, port: int) -> list[str]:
    lines = []
    for number in range(1, slots + 1):
        name = f"web1/slot{number}"
        lines += [
            f"set server {name} addr 127.0.0.1 port {port}",
            f"set server {name} state ready",
        ]
    return lines


def _shares(
    haproxies: Sequence[Running], rounds: int, seconds: float
) -> list[list[float]]:
    """Return each one's shares of a core. The first round settles and does not count."""
    found: list[list[float]] = [[] for _ in haproxies]
    for _ in range(rounds + 1):
        began = time.perf_counter()
        before = [one.cpu_seconds() for one in haproxies]
        time.sleep(seconds)
        after = [one.cpu_seconds() for one in haproxies]
        took = time.perf_counter() - began
        for shares, first, last in zip(found, before, after, strict=True):
            shares.append((last - first) / took)
    return [shares[1:] for shares in found]
