"""A swarm of three nodes for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.engine import Engine
from tests.support.swarm_lab import SwarmLab


@pytest.fixture(scope="session")
def swarm_lab(engine: Engine) -> Iterator[SwarmLab]:
    """Run three engines that are one swarm; the first is the manager."""
    with SwarmLab(engine) as lab:
        yield lab
