"""A scripted runtime socket for each test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.scripted_socket import ScriptedSocket


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedSocket]:
    """A socket that plays scripts."""
    folder = Path(tempfile.mkdtemp(prefix="scripted-"))
    one = ScriptedSocket(folder / "admin.sock")
    yield one
    await one.aclose()
    shutil.rmtree(folder)
