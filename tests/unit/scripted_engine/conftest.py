"""A scripted engine and a docker-py client on it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path

import docker
import pytest
from tests.scripted_engine import ScriptedEngine
from tests.unit.scripted_engine.streams import Events


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[ScriptedEngine]:
    """A running engine with no containers."""
    async with ScriptedEngine(tmp_path / "docker.sock") as running:
        yield running


@pytest.fixture
async def client(engine: ScriptedEngine) -> AsyncIterator[docker.APIClient]:
    """docker-py's low-level client, version negotiated, on that engine."""
    made = await asyncio.to_thread(
        docker.APIClient, engine.url, version="auto", timeout=5
    )
    yield made
    made.close()
    # docker-py leaves the sockets of broken answers to the garbage collector: collect
    # them here, where the warning is expected, and not in somebody else's test.
    gc.collect()


@pytest.fixture
async def events(
    engine: ScriptedEngine, client: docker.APIClient
) -> AsyncIterator[Events]:
    """Opens event streams on the engine."""
    opener = Events(engine, client)
    yield opener
    opener.close()
