"""What slots shows of a real HAProxy, by its options."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.integration.daemon.test_live_slots import take
from tests.scripted_engine import ScriptedEngine
from tests.support.daemon import Done, run_cli
from tests.support.haproxy_process import HaproxyProcess


pytestmark = pytest.mark.integration


async def test_options_choose_and_order(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """By state, backend and key, as text and as JSON; colours where they are forced."""
    for number in (1, 2, 10):
        take(haproxy3, f"slot{number}", f"127.10.0.{number}")
    haproxy3.raw("set server web/slot2 state drain")
    haproxy3.raw("set server web/slot10 weight 50")

    async def slots(*more: str, **environment: str) -> Done:
        where = ("--haproxy", haproxy3.url, "--docker", engine.url)
        return await run_cli("slots", *where, *more, environment=environment)

    held, weights, two, no_such, coloured, plain = await asyncio.gather(
        slots("--state", "held"),
        slots("--json", "--sort", "-weight", "--state", "ready", "--state", "down"),
        slots("--backend", "web", "--backend", "echo"),
        slots("--backend", "web", "--backend", "nowhere"),
        slots(FORCE_COLOR="1"),
        slots(FORCE_COLOR="1", NO_COLOR="1"),
    )

    assert [line.split()[:3] for line in held.stdout.splitlines()[2:]] == [
        ["slot2", "drain", "(held)"]
    ]
    assert [row["slot"] for row in json.loads(weights.stdout)["slots"]] == [
        *("slot10", "slot1"),
    ]
    heads = [line.split(":")[0] for line in two.stdout.splitlines() if "head-" in line]
    assert sorted(heads) == ["echo", "web"]
    assert (no_such.code, two.code) == (1, 0)
    assert "no haproxy has a backend nowhere with slots" in no_such.stderr
    assert "\x1b[33mdrain (held)\x1b[0m" in coloured.stdout
    assert "\x1b" not in plain.stdout
