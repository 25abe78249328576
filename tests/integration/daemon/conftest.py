"""The real daemon between a scripted engine and a real HAProxy of each version."""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.scripted_engine import ScriptedEngine
from tests.support.daemon import Daemon
from tests.support.haproxy_process import HaproxyProcess, haproxy_process
from tests.support.slots import Row, ready, ready_addresses, table


__all__ = [
    "WEB",
    "Row",
    "ready",
    "ready_addresses",
    "resyncs",
    "running",
    "table",
    "two_daemons",
    "until",
    "until_placed",
]

WAIT_SECONDS = 15.0
POLL_SECONDS = 0.01
WEB = {
    "com.docker.compose.project": "demo",
    "com.docker.compose.service": "web",
    "com.docker.compose.container-number": "1",
}


def running(engine: ScriptedEngine) -> list[str]:
    """Return the addresses of all containers that run."""
    return sorted(one.address for one in engine.containers if one.state == "running")


async def until(condition: Callable[[], object], what: str, daemon: Daemon) -> None:
    """Return once the condition holds. Raises AssertionError where it does not in time."""
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition():  # noqa: ASYNC110 - HAProxy tells nobody when it changes
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError as error:
        last = "\n".join(daemon.log[-20:])
        raise AssertionError(
            f"not seen: {what}; the daemon said last:\n{last}"
        ) from error


async def until_placed(
    haproxy: HaproxyProcess, engine: ScriptedEngine, daemon: Daemon
) -> None:
    """Return once exactly the running containers are ready, each in exactly one slot."""

    def is_placed() -> bool:
        return ready_addresses(haproxy) == running(engine)

    await until(is_placed, f"{len(running(engine))} ready slots", daemon)


async def resyncs(daemon: Daemon, count: int) -> None:
    """Return after so many more whole readings."""

    async def passes() -> float:
        text = (await daemon.get("/metrics")).body
        found = re.findall(r"reconciler_passes_total\{.*\} (\S+)", text)
        return sum(map(float, found))

    wanted = await passes() + count
    async with asyncio.timeout(20):
        while await passes() < wanted:  # noqa: ASYNC110 - the daemon tells nobody
            await asyncio.sleep(0.05)


@asynccontextmanager
async def two_daemons(
    haproxy: HaproxyProcess, engine: ScriptedEngine
) -> AsyncIterator[tuple[Daemon, Daemon]]:
    """Run two reconcilers on the same engine and the same HAProxy; both are ready."""
    first = Daemon(haproxy=[haproxy.url], docker=engine.url)
    second = Daemon(haproxy=[haproxy.url], docker=engine.url)
    async with first, second:
        await asyncio.gather(first.wait_ready(), second.wait_ready())
        yield first, second


@pytest.fixture
def haproxy3() -> Iterator[HaproxyProcess]:
    """A HAProxy 3.0, for what does not depend on the version."""
    with haproxy_process("3.0") as process:
        yield process


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    """A running scripted engine with no containers."""
    # Not pytest's tmp_path: a unix socket's path may have no more than 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="engine-"))
    async with ScriptedEngine(folder / "docker.sock") as one:
        yield one
        one.faults.clear()
    shutil.rmtree(folder)
