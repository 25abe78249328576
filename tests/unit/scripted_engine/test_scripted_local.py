"""Scripted containers with a server process inside."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.scripted_engine import ScriptedEngine
from tests.scripted_engine.local import LocalPool
from tests.support.ports import free_port


ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
async def pool(engine: ScriptedEngine) -> AsyncIterator[LocalPool]:
    """A pool with nothing in it, on a port that is free today."""
    async with LocalPool(engine, port=free_port()) as opened:
        yield opened


async def ask(address: str, port: int, path: str = "/") -> str:
    """Return the body of one answer."""
    reader, writer = await asyncio.open_connection(address, port)
    writer.write(f"GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    return answer.partition("\r\n\r\n")[2]


async def test_scaled_containers_answer_on_their_own_addresses(
    engine: ScriptedEngine, pool: LocalPool
) -> None:
    """Each has its own address and says its name; scaling down removes the highest."""
    [first] = await pool.scale("web", 1)
    made = await pool.scale("web", 3)
    port = int(made[0].ports[0].partition("/")[0])

    assert made[0] is first
    assert len({each.address for each in made}) == 3
    for each in made:
        assert await ask(each.address, port) == f"{each.name}\n"

    await pool.scale("web", 2)

    assert [each.name for each in engine.containers] == ["demo-web-2", "demo-web-1"]
    assert [each.action for each in engine.events.emitted][-5:] == [
        "kill",
        "die",
        "disconnect",
        "stop",
        "destroy",
    ]
    with pytest.raises(OSError, match=r"refused|Errno 111|Connect call failed"):
        await ask(made[2].address, port)


async def test_stop_finishes_what_is_in_flight(
    engine: ScriptedEngine, pool: LocalPool
) -> None:
    """A request that runs when the signal comes is answered, and the exit code is 0."""
    [made] = await pool.scale("web", 1)
    port = int(made.ports[0].partition("/")[0])
    reader, writer = await asyncio.open_connection(made.address, port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await reader.readuntil(b"demo-web-1\n")
    writer.write(b"GET /slow?ms=600 HTTP/1.1\r\n\r\n")

    code = await pool.stop("demo-web-1")

    answer = (await reader.read()).decode()
    writer.close()
    assert answer.endswith("demo-web-1\n")
    assert "Connection: close" in answer
    assert code == 0
    assert engine.find("demo-web-1").state == "exited"


async def test_crash_is_seen_as_a_death_by_signal(
    engine: ScriptedEngine, pool: LocalPool
) -> None:
    """A killed process leaves ``die`` with 137 and no ``kill``: nobody asked the engine."""
    await pool.scale("web", 1)
    await pool.crash("demo-web-1")

    last = [each for each in engine.events.emitted if each.kind == "container"][-1]

    assert (last.action, last.attributes["exitCode"]) == ("die", "137")


async def test_program_obeys_its_standard_input(tmp_path: Path) -> None:
    """``python -m tests.scripted_engine`` serves, takes commands, and ends at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.scripted_engine"),
        *("--socket", str(tmp_path / "d.sock"), "--count", "2"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    with contextlib.suppress(BrokenPipeError):
        stdout, _ = await process.communicate(b"pause web-1\nstop web-2\nwrong\nlist\n")
    lines = stdout.decode().splitlines()

    assert lines[0].startswith("serving 2 containers on unix://")
    assert "unknown command" in lines[1]
    assert [line.split()[1:3] for line in lines[2:]] == [
        ["web-2", "exited"],
        ["web-1", "paused"],
    ]
    assert process.returncode == 0
