"""A command loads what it needs, and nothing of the others."""

from __future__ import annotations

import subprocess
import sys

import pytest


def loaded_by(*arguments: str) -> set[str]:
    """Return the modules that are loaded when a command line has been run."""
    program = (
        "import sys\n"
        "from reconciler.cli import main\n"
        f"sys.argv = ['reconciler', *{arguments!r}]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('\\n', *sys.modules, sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines())


@pytest.mark.parametrize(
    ("arguments", "without"),
    [
        (["--version"], {"docker", "aiohttp", "rich", "asyncio", "prometheus_client"}),
        (["slots", "--haproxy", "tcp://127.0.0.1:1"], {"aiohttp", "rich.console"}),
        (["slots", "--haproxy", "tcp://127.0.0.1:1"], {"prometheus_client"}),
        (["plan", "--help"], {"reconciler.app", "reconciler.web", "aiohttp"}),
    ],
)
def test_what_is_not_needed_is_not_loaded(
    arguments: list[str], without: set[str]
) -> None:
    """Loading takes longer than most commands do."""
    loaded = loaded_by(*arguments)

    assert "reconciler.cli" in loaded
    assert loaded & without == set()
