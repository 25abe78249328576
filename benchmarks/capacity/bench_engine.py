"""A scripted engine with some containers, for a daemon to follow."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.scripted_engine import ScriptedEngine


WEB = {
    "com.docker.compose.project": "bench",
    "com.docker.compose.service": "web1",
    "com.docker.compose.container-number": "1",
}
CONTAINERS = 20
SLOTS = 2 * CONTAINERS


@asynccontextmanager
async def bench_engine() -> AsyncIterator[ScriptedEngine]:
    """Run an engine with containers of the first backend for the length of a block."""
    folder = Path(tempfile.mkdtemp(prefix="capacity-"))
    try:
        async with ScriptedEngine(folder / "docker.sock") as engine:
            engine.run_many(CONTAINERS, prefix="bench", labels=WEB)
            yield engine
    finally:
        shutil.rmtree(folder, ignore_errors=True)
