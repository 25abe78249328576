"""events, explain, -v and completion against the real daemon, HAProxy and a real bash."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.integration.daemon.conftest import WEB, until_placed
from tests.integration.daemon.test_live_commands import ask
from tests.scripted_engine import ScriptedEngine
from tests.support.daemon import Daemon, clean_environment, run_cli
from tests.support.haproxy_process import HaproxyProcess
from tests.support.requirements import require


pytestmark = pytest.mark.integration

WAIT_SECONDS = 15.0


class Following:
    """``reconciler events`` as a child process, read line by line."""

    def __init__(self, process: Process) -> None:
        self.process = process

    async def entry(self, kind: str) -> dict[str, Any]:
        """Return the next entry of a kind. Raises TimeoutError where none comes."""
        assert self.process.stdout is not None
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                line = await self.process.stdout.readline()
                assert line, "it ended"
                found: dict[str, Any] = json.loads(line)
                if found["kind"] == kind:
                    return found

    async def interrupted(self) -> tuple[int, str]:
        """Press Ctrl-C; return its exit code, and what it said on standard error."""
        self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(WAIT_SECONDS):
            _, said = await self.process.communicate()
        return self.process.returncode or 0, said.decode()


@asynccontextmanager
async def following(daemon: Daemon, *arguments: str) -> AsyncIterator[Following]:
    """Follow a daemon for the length of a block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reconciler", "events", *arguments),
        *("--listen", f"0.0.0.0:{daemon.port}", "--json"),
        stdout=PIPE,
        stderr=PIPE,
        env=clean_environment(),
        # Whoever runs these tests in the background of a shell has Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield Following(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_events_over_a_restart_of_the_daemon(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """What was, what comes, and what another daemon does; Ctrl-C ends it with 0."""
    engine.run("web-1", labels=WEB)
    async with Daemon(haproxy=[haproxy3.url], docker=engine.url) as daemon:
        await until_placed(haproxy3, engine, daemon)
        async with following(daemon, "--since", "1h", "--backend", "web") as events:
            before = await events.entry("assign")
            two = engine.run("web-2", labels=WEB)
            live = await events.entry("assign")
            await daemon.terminate()
            engine.run("web-3", labels=WEB)
            await daemon.start()
            later = await events.entry("assign")
            code, said = await events.interrupted()

    assert (before["container"], before["slot"]) == ("web-1", "slot1")
    assert (live["container"], live["container_id"]) == ("web-2", two.id)
    assert live["latency_ms"] > 0
    assert later["container"] == "web-3"
    assert code == 0
    url = f"http://127.0.0.1:{daemon.port}"
    assert f"note: the daemon at {url} went away: trying again" in said
    assert f"note: another daemon answers at {url}: its entries begin anew" in said
    assert "Traceback" not in said


async def test_events_that_are_remembered(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """A line each, of the kinds that are asked for; and with no daemon an error."""
    engine.run("web-1", labels=WEB)
    listen: tuple[str, ...] = ()
    async with Daemon(haproxy=[haproxy3.url], docker=engine.url) as daemon:
        await until_placed(haproxy3, engine, daemon)
        listen = ("--listen", f"127.0.0.1:{daemon.port}")
        shown = await run_cli("events", "--no-follow", "--kind", "assign", *listen)
    lost = await run_cli("events", *listen)

    assert (shown.code, shown.stderr) == (0, "")
    [line] = shown.stdout.splitlines()
    assert " + web/slot1 ← web-1 " in line
    assert "  a new endpoint" in line
    assert (lost.code, lost.stdout) == (1, "")
    assert f"no daemon answers at http://{listen[1]}: connection refused" in lost.stderr


async def test_a_reader_of_events_that_goes(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """``| head -1`` ends it at once and quietly, though nothing more happens."""
    require(shutil.which("bash"), "the shell bash")
    engine.run("web-1", labels=WEB)
    async with Daemon(haproxy=[haproxy3.url], docker=engine.url) as daemon:
        await until_placed(haproxy3, engine, daemon)
        piped = await asyncio.create_subprocess_exec(
            *(
                "bash",
                "-c",
                '"$0" -m reconciler events "$@" | head -n 1',
                sys.executable,
            ),
            *("--since", "1h", "--kind", "assign"),
            *("--listen", f"127.0.0.1:{daemon.port}"),
            stdout=PIPE,
            stderr=PIPE,
            env=clean_environment(),
        )
        async with asyncio.timeout(WAIT_SECONDS):
            shown, said = await piped.communicate()

    assert len(shown.splitlines()) == 1
    assert said == b""


async def test_explain_of_slots_and_names(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """Who lives in a slot and why; a held one, a free one, and a name that is close."""
    one = engine.run("web-1", labels=WEB)
    async with Daemon(haproxy=[haproxy3.url], docker=engine.url) as daemon:
        await until_placed(haproxy3, engine, daemon)
    await ask(haproxy3, engine, "drain", "web-1")

    held, free, close = await asyncio.gather(
        ask(haproxy3, engine, "explain", "web/slot1", "--json"),
        ask(haproxy3, engine, "explain", "web/slot2"),
        ask(haproxy3, engine, "explain", "wbe-1"),
    )

    [slot] = json.loads(held.stdout)["slots"]
    assert (slot["container_id"], slot["state"], slot["held"]) == (
        one.id,
        "drain",
        True,
    )
    assert (
        "an operator put web-1 in drain → `reconciler ready web/slot1`"
        in slot["verdict"]
    )
    assert "free" in free.stdout.splitlines()[1]
    assert (close.code, close.stdout) == (1, "")
    assert (
        close.stderr == 'error: docker has no container "wbe-1": did you mean web-1?\n'
    )


async def test_what_was_asked(haproxy3: HaproxyProcess, engine: ScriptedEngine) -> None:
    """-v has a line for each question to each side, and the output stays as it is."""
    told, plain = await asyncio.gather(
        ask(haproxy3, engine, "plan", "-v"), ask(haproxy3, engine, "plan")
    )

    assert told.stdout == plain.stdout
    assert plain.stderr == ""
    lines = told.stderr.splitlines()
    assert all(line.startswith("asked ") for line in lines)
    assert any(
        f"docker at {engine.url}: GET /containers/json (" in one for one in lines
    )
    assert any(f"{haproxy3.url}: show servers state (" in one for one in lines)


_COMPLETED = """
source <(reconciler completion bash) || exit
COMP_WORDS=($1) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
[[ $1 == *" " ]] && COMP_WORDS+=("") COMP_CWORD=$((COMP_CWORD + 1))
_reconciler_completion reconciler
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("reconciler explain w", ["web-1", "web-2", "web/"]),
        ("reconciler drain web/slot6", [f"web/slot{n}" for n in (6, *range(60, 65))]),
        ("reconciler slots --backend ", ["echo", "web"]),
        ("reconciler comp", ["completion"]),
    ],
)
async def test_completion_in_bash(
    haproxy3: HaproxyProcess, engine: ScriptedEngine, line: str, offered: list[str]
) -> None:
    """bash itself, with our script, offers what runs at that moment."""
    require(shutil.which("bash"), "the shell bash")
    engine.run_many(2, labels=WEB)
    settings = {"RECONCILER_HAPROXY": haproxy3.url, "RECONCILER_DOCKER": engine.url}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *("bash", "--norc", "-c", _COMPLETED, "bash", line),
        stdout=PIPE,
        stderr=PIPE,
        env=clean_environment({**settings, "PATH": path}),
    )
    async with asyncio.timeout(WAIT_SECONDS):
        shown, said = await process.communicate()

    assert said == b""
    assert shown.decode().split() == offered
