"""Every command but `events` works with no daemon running."""

from __future__ import annotations

import pytest
from tests.integration.daemon.conftest import WEB, until_placed
from tests.scripted_engine import ScriptedEngine
from tests.support.daemon import Daemon, run_cli
from tests.support.haproxy_process import HaproxyProcess
from tests.support.ports import free_port


pytestmark = pytest.mark.integration

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("slots",),
    ("plan",),
    ("explain", "web-1"),
    ("check",),
    ("drain", "web-1"),
    ("ready", "web-1"),
    ("maint", "web/slot1"),
)


async def test_with_the_daemon_stopped(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """All do their work and end with 0; `events` ends with 1 and says how to mend it."""
    engine.run("web-1", labels=WEB)
    async with Daemon(haproxy=[haproxy3.url], docker=engine.url) as daemon:
        await until_placed(haproxy3, engine, daemon)
    nowhere = f"127.0.0.1:{free_port()}"
    common = ("--haproxy", haproxy3.url, "--docker", engine.url, "--listen", nowhere)

    done = {words: await run_cli(*words, *common) for words in COMMANDS}
    events = await run_cli("events", *common)

    assert {words: one.code for words, one in done.items()} == dict.fromkeys(done, 0)
    assert [words for words, one in done.items() if not one.stdout.strip()] == []
    assert (events.code, events.stdout) == (1, "")
    assert f"no daemon answers at http://{nowhere}" in events.stderr
    assert "reconciler run" in events.stderr
