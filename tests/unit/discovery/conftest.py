"""A scripted engine, and watchers that follow it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from tests.fakes.sink import RecordingSink
from tests.scripted_engine import ScriptedEngine

from reconciler.discovery.engine import Engine
from reconciler.discovery.watch import Watcher


@pytest.fixture
async def scripted(tmp_path: Path) -> AsyncIterator[ScriptedEngine]:
    """A running scripted engine with no containers."""
    async with ScriptedEngine(tmp_path / "docker.sock") as running:
        yield running
        running.faults.clear()
    # docker-py leaves the sockets of broken answers to the garbage collector: collect
    # them here, where the warning is expected, and not in somebody else's test.
    gc.collect()


@asynccontextmanager
async def watching(
    url: str, *, resync_seconds: float = 30.0, timeout_seconds: float = 2.0
) -> AsyncIterator[RecordingSink]:
    """Follow an engine for the length of a block; give what is told."""
    sink = RecordingSink()
    engine = Engine(url, timeout_seconds=timeout_seconds)
    watcher = Watcher(engine, sink, resync_seconds=resync_seconds)
    task = asyncio.create_task(watcher.run())
    try:
        yield sink
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await engine.aclose()


@pytest.fixture
async def sink(scripted: ScriptedEngine) -> AsyncIterator[RecordingSink]:
    """What a watcher says of the engine: it has listed once, and follows the events."""
    async with watching(scripted.url) as told:
        await told.until(lambda: told.lists == 1, "the first list")
        yield told
