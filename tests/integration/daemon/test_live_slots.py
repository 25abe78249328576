"""``slots --watch`` in a terminal and in a pipe, against a real HAProxy, with no daemon."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.integration.daemon.conftest import WEB
from tests.scripted_engine import ScriptedEngine
from tests.support.daemon import clean_environment
from tests.support.haproxy_process import HaproxyProcess
from tests.support.pseudo_terminal import PseudoTerminal
from tests.support.schemas import validator


pytestmark = pytest.mark.integration

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
HIGHLIGHT = "\x1b[7m*"


def watching(haproxy: HaproxyProcess, engine: ScriptedEngine, *more: str) -> list[str]:
    """Return the arguments of a watch that looks ten times a second."""
    where = ("--haproxy", haproxy.url, "--docker", engine.url)
    return ["slots", "--watch", "0.1", "--backend", "web", *where, *more]


def take(haproxy: HaproxyProcess, slot: str, address: str) -> None:
    """Give a slot a tenant, as a hand at the socket would."""
    for words in (f"addr {address} port 8000", "health up", "state ready"):
        haproxy.raw(f"set server web/{slot} {words}")


def release(haproxy: HaproxyProcess, slot: str) -> None:
    """Empty a slot."""
    haproxy.raw(f"set server web/{slot} state maint")
    haproxy.raw(f"set server web/{slot} addr 127.255.255.254")


async def test_in_place(haproxy3: HaproxyProcess, engine: ScriptedEngine) -> None:
    """A change shows in the same picture, highlighted for a while; q ends it with 0."""
    one = engine.run("web-1", labels=WEB)
    take(haproxy3, "slot1", one.address)

    async with PseudoTerminal(*watching(haproxy3, engine)) as terminal:
        await terminal.until_shown("web-1")
        assert ENTER in terminal.drawn
        assert HIGHLIGHT not in terminal.frame
        two = engine.run("web-2", labels=WEB)
        take(haproxy3, "slot2", two.address)
        await terminal.until(lambda: HIGHLIGHT in terminal.frame, "a highlight")
        await terminal.until_shown(f"{two.address}:8000")
        assert terminal.lines[0].startswith("web: 2 of 64 slots used")
        release(haproxy3, "slot1")
        await terminal.until_shown("* slot1")
        await terminal.until(lambda: "slot1" not in str(terminal.lines), "it went")
        await terminal.until(lambda: HIGHLIGHT not in terminal.frame, "no highlight")
        terminal.press("q")

        assert await terminal.ended() == 0
        await terminal.until(lambda: LEAVE in terminal.drawn, "the screen left")
        assert terminal.is_as_before


async def test_ctrl_c(haproxy3: HaproxyProcess, engine: ScriptedEngine) -> None:
    """It ends with 0, says nothing, and leaves the terminal as it was."""
    async with PseudoTerminal(*watching(haproxy3, engine)) as terminal:
        await terminal.until_shown("head-room")
        assert not terminal.is_as_before
        terminal.interrupt()

        assert await terminal.ended() == 0
        await terminal.until(lambda: LEAVE in terminal.drawn, "the screen left")
        assert terminal.is_as_before
        assert "Traceback" not in terminal.drawn
        assert terminal.drawn.endswith(LEAVE)


async def test_sizes_and_scrolling(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """Every picture fits; what does not fit is counted, and can be scrolled to."""
    arguments = watching(haproxy3, engine, "--all")
    async with PseudoTerminal(*arguments, columns=100, lines=20) as terminal:
        await terminal.until_shown("lines 1-19 of 67, 48 more")
        assert len(terminal.lines) == 20
        terminal.press(" ")
        await terminal.until_shown("lines 19-37 of 67")
        terminal.press("G")
        await terminal.until_shown("slot64")
        terminal.press("g")
        await terminal.until_shown("lines 1-19 of 67")
        terminal.resize(50, 10)
        await terminal.until(lambda: len(terminal.lines) == 10, "a small picture")
        await terminal.until(
            lambda: max(map(len, terminal.lines)) <= 50, "a narrow picture"
        )
        terminal.resize(120, 80)
        await terminal.until_shown("slot64")
        assert "more" not in terminal.lines[-1]
        terminal.press("q")
        assert await terminal.ended() == 0


async def test_trouble_is_shown_in_place(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """The watch goes on while HAProxy is away, and shows it again when it is back."""
    async with PseudoTerminal(*watching(haproxy3, engine)) as terminal:
        await terminal.until_shown("64 free")
        haproxy3.kill()
        await terminal.until_shown("error: cannot open")
        assert "64 free" not in "\n".join(terminal.lines)
        haproxy3.start()
        await terminal.until_shown("64 free")
        await terminal.until(lambda: "error" not in str(terminal.lines), "no error")
        terminal.press("q")
        assert await terminal.ended() == 0


async def test_no_colours_where_none_are_wanted(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """NO_COLOR holds for the live picture, too."""
    take(haproxy3, "slot1", "127.10.0.1")
    environment = {"NO_COLOR": "1"}
    async with PseudoTerminal(
        *watching(haproxy3, engine), environment=environment
    ) as terminal:
        await terminal.until_shown("127.10.0.1")
        assert "\x1b[3" not in terminal.frame
        assert "\x1b[9" not in terminal.frame


@asynccontextmanager
async def piped(*arguments: str) -> AsyncIterator[Process]:
    """Run the command with its output in pipes."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reconciler", *arguments),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        env=clean_environment(),
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line_of(process: Process) -> str:
    """Return the next line of standard output."""
    assert process.stdout is not None
    async with asyncio.timeout(15):
        return (await process.stdout.readline()).decode()


async def test_json_lines(haproxy3: HaproxyProcess, engine: ScriptedEngine) -> None:
    """A whole object at first and at each change; errors are in it; SIGINT ends with 0."""
    async with piped(*watching(haproxy3, engine, "--json")) as process:
        first = json.loads(await line_of(process))
        take(haproxy3, "slot3", "127.10.0.9")
        changed = json.loads(await line_of(process))
        # Nobody listens there: a look that comes late finds it down already.
        while changed["slots"][2]["state"] not in {"ready", "down"}:
            changed = json.loads(await line_of(process))
        haproxy3.kill()
        lost = json.loads(await line_of(process))
        process.send_signal(2)
        code = await process.wait()

    assert code == 0
    for one in (first, changed, lost):
        validator("slots").validate(one)
    assert list(first) == ["slots", "unplaced", "at", "errors"]
    assert (len(first["slots"]), first["errors"]) == (64, [])
    assert changed["slots"][2]["address"] == "127.10.0.9"
    assert changed["at"] >= first["at"]
    assert lost["slots"] == []
    assert haproxy3.url.removeprefix("unix://") in lost["errors"][0]


async def test_text_in_a_pipe(haproxy3: HaproxyProcess, engine: ScriptedEngine) -> None:
    """The map below a line with the time, again whenever it changed; no control codes."""
    async with piped(*watching(haproxy3, engine)) as process:
        first = [await line_of(process) for _ in range(2)]
        take(haproxy3, "slot3", "127.10.0.9")
        second = [await line_of(process) for _ in range(4)]
        process.terminate()
        code = await process.wait()

    assert code == 0
    assert [text[:4] for text in (first[0], second[0])] == ["--- ", "--- "]
    assert first[1].startswith("web: 0 of 64 slots used")
    assert "slot3" in second[3]
    assert "\x1b" not in "".join(first + second)
