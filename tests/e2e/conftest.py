"""What the end-to-end tests share: an engine, and a demo stack of each test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.engine import ROOT, Engine, PrivateEngine, shared_engine
from tests.support.stack import Stack


TIMEOUT_SECONDS = 300
"""For one test with its fixtures: starting a container takes a third of a second."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, and give it time."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.e2e)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(TIMEOUT_SECONDS))


@pytest.fixture(scope="session")
def engine() -> Engine:
    """Return the machine's engine, or the one that set-up starts. It is never stopped."""
    return shared_engine()


@pytest.fixture
def stack(engine: Engine, tmp_path: Path) -> Iterator[Stack]:
    """Run the demo stack under a name of its own: one container of each service."""
    with Stack(engine, tmp_path) as started:
        yield started


@pytest.fixture(scope="session")
def private_engine(engine: Engine) -> Iterator[PrivateEngine]:
    """Run an engine that a test may stop, kill and start."""
    with PrivateEngine(engine) as started:
        yield started


@pytest.fixture
def private_stack(private_engine: PrivateEngine, tmp_path: Path) -> Iterator[Stack]:
    """Run the demo stack on an engine that the test may stop, kill and start."""
    with Stack(private_engine, tmp_path) as started:
        yield started
        private_engine.start()


def with_few_slots(folder: Path, count: int, *, reconciler: str = "") -> str:
    """Return an override for a stack whose ``web`` has this many slots.

    ``reconciler`` is more of that service, in YAML's flow style.
    """
    text = (ROOT / "haproxy" / "base.cfg").read_text()
    assert text.count("server-template slot 1-64 ") == 1
    config = folder / "base.cfg"
    config.write_text(text.replace("slot 1-64 ", f"slot 1-{count} "))
    mount = f'volumes: ["{config}:/etc/haproxy/base.cfg:ro"]'
    return f"services: {{haproxy: {{{mount}}}, reconciler: {{{mount}, {reconciler}}}}}"
