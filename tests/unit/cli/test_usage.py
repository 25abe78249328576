"""Wrong usage, versions, -v, and a reader that has gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Reconciler

from reconciler import __version__


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("slot",), "No such command 'slot'. Did you mean 'slots'?"),
        (
            ("plan", "--comands"),
            "No such option '--comands'. Did you mean '--commands'?",
        ),
        (("completion", "bsh"), "'bsh' is not one of 'bash', 'zsh', 'fish'"),
        (("-v",), "Missing command"),
    ],
)
def test_what_may_have_been_meant(
    reconciler: Reconciler, arguments: tuple[str, ...], words: str
) -> None:
    """Exit 2, with the closest word."""
    done = reconciler(*arguments)

    assert (done.code, done.stdout) == (2, "")
    assert words in done.stderr


def test_a_key_that_may_have_been_meant(reconciler: Reconciler, tmp_path: Path) -> None:
    """The closest key of the file, and all that there are."""
    path = tmp_path / "reconciler.toml"
    path.write_text("resink = 1")

    done = reconciler("slots", "--config", str(path))

    assert done.code == 2
    assert 'unknown key "resink"; did you mean resync? accepted keys: ' in done.stderr


@pytest.mark.parametrize(
    "flags", [("-V", "-v"), ("-v", "-V"), ("--version", "--verbose")]
)
def test_the_versions_of_the_libraries(
    reconciler: Reconciler, flags: tuple[str, ...]
) -> None:
    """What a report of a fault should name."""
    done = reconciler(*flags)

    first, *others = done.stdout.splitlines()
    assert (done.code, first) == (0, f"reconciler, version {__version__}")
    names = ["python", "docker", "aiohttp", "click", "rich"]
    assert [line.split(" ")[0] for line in others] == names


@pytest.mark.parametrize("arguments", [("-v", "slots"), ("slots", "-v")])
def test_what_was_asked_is_said(
    reconciler: Reconciler, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Each question on a line of standard error, failed ones too, with its time."""
    done = reconciler(*arguments)

    asked = [line for line in done.stderr.splitlines() if line.startswith("asked ")]
    assert any(
        line.startswith(
            f"asked docker at unix://{tmp_path}/no-docker.sock: GET /containers/json "
            "(failed after "
        )
        and line.endswith(" ms)")
        for line in asked
    )
    assert any(
        f"asked haproxy at unix://{tmp_path}/no-haproxy.sock: show info" in line
        for line in asked
    )
    assert done.stdout == ""


def test_nothing_is_said_without_being_asked_to(reconciler: Reconciler) -> None:
    """Standard error is for errors."""
    assert "asked " not in reconciler("slots").stderr


def closed(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command whose standard output nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stdout:
        return subprocess.run(
            [sys.executable, "-m", "reconciler", *arguments],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=30,
        )


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("slots", "--json"), ("check",)],
    ids=" ".join,
)
def test_a_reader_that_has_gone(arguments: tuple[str, ...]) -> None:
    """The end is quiet: no traceback, and no complaint of Python's own."""
    done = closed(*arguments)

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
