"""A check that is passed by a connection, but to another port: HAProxy alone decides.

A passing ``tcp-check connect port 8001`` is an L4OK like that of a plain check, and the table
does not tell the port.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.integration.daemon.conftest import WEB, resyncs, until
from tests.integration.daemon.test_checks import config, is_up, listening, running
from tests.scripted_engine import ScriptedEngine
from tests.support.haproxy_process import VERSIONS, HaproxyProcess
from tests.support.ports import free_address


pytestmark = pytest.mark.integration

CHECKED_PORT = 8001


def result_of(haproxy: HaproxyProcess, slot: str) -> str:
    """Return the result of a slot's last check."""
    header, *lines = haproxy.raw("show stat web 4 -1").strip().split("\n")
    titles = header.removeprefix("# ").split(",")
    rows = [dict(zip(titles, line.split(","), strict=False)) for line in lines]
    return next(row["check_status"] for row in rows if row["svname"] == slot)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_result_of_rules_is_not_taken_for_that_of_a_plain_check(
    version: str, engine: ScriptedEngine, tmp_path: Path
) -> None:
    """The port that requests go to is open, the one that is asked is not: it gets none."""
    text = config(
        more=f"option tcp-check\n    tcp-check connect port {CHECKED_PORT}",
        inter="200ms",
    )
    async with running(version, engine, tmp_path, text, file=False) as (
        haproxy,
        daemon,
    ):
        well = engine.run("web-1", labels=WEB, address=free_address())
        async with listening(well.address, port=CHECKED_PORT):
            await until(lambda: is_up(haproxy), "it is up", daemon)
            assert result_of(haproxy, "slot1").endswith("L4OK")
            await resyncs(daemon, 2)
            sick = engine.run("web-2", labels=WEB, address=free_address())
            async with listening(sick.address) as door:
                await daemon.wait_log("assigned web-2")
                async with asyncio.timeout(20):
                    while not result_of(haproxy, "slot2").endswith("L4CON"):
                        assert not is_up(haproxy, "slot2")
                        await asyncio.sleep(0.01)
                await resyncs(daemon, 2)

                assert not is_up(haproxy, "slot2")
                assert door.connections == 0
