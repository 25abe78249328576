"""The command line in this process, with nothing around it that it could find by accident."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.fakes.leftovers import leftovers_collected
from tests.support.daemon import Done

from reconciler.cli import main
from reconciler.logs import ASKED


Reconciler = Callable[..., Done]


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings in the environment, and no engine and no HAProxy of this machine."""
    for name in list(os.environ):
        if name.startswith(("RECONCILER_", "DOCKER_")) or name == "NO_COLOR":
            monkeypatch.delenv(name)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-docker.sock")
    monkeypatch.setenv("RECONCILER_HAPROXY", f"unix://{tmp_path}/no-haproxy.sock")


@pytest.fixture(autouse=True)
def nothing_said_of_questions() -> Iterator[None]:
    """What -v sets up for one process does not speak in the next test, too."""
    yield
    asked = logging.getLogger(ASKED)
    asked.handlers[:] = []
    asked.propagate = True
    asked.setLevel(logging.NOTSET)


@pytest.fixture
def reconciler(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Reconciler:
    """Runs ``reconciler ARGUMENTS`` to its end."""

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["reconciler", *arguments])
        capsys.readouterr()
        with leftovers_collected():
            with pytest.raises(SystemExit) as ended:
                main()
            code = ended.value.code
            del ended  # its frames hold the sockets that are to be collected
        shown = capsys.readouterr()
        assert isinstance(code, int)
        return Done(code, shown.out, shown.err)

    return run
