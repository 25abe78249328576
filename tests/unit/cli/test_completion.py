"""What is printed for a shell, and what is offered where nothing can be read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.requirements import require
from tests.unit.cli.conftest import Reconciler

from reconciler.cli.complete import fitting
from reconciler.cli.completion import SHELLS


def offered(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Return what click's protocol for bash answers at the end of a line."""
    words = line.split(" ")
    asked = {
        "_RECONCILER_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    script = "import sys; sys.argv[0] = 'reconciler'; from reconciler.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **asked, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script(reconciler: Reconciler, shell: str) -> None:
    """Each shell has one, with the variable that asks us."""
    done = reconciler("completion", shell)

    assert (done.code, done.stderr) == (0, "")
    assert f"_RECONCILER_COMPLETE={shell}_complete" in done.stdout


def test_the_script_parses(reconciler: Reconciler) -> None:
    """bash itself finds no fault with its script."""
    require(shutil.which("bash"), "the shell bash")
    script = reconciler("completion", "bash").stdout

    subprocess.run(["bash", "-n"], input=script, text=True, check=True, timeout=30)


def test_an_unknown_shell(reconciler: Reconciler) -> None:
    """Exit 2, with those that are known."""
    done = reconciler("completion", "tcsh")

    assert (done.code, done.stdout) == (2, "")
    assert "'bash', 'zsh', 'fish'" in done.stderr


def test_commands_and_options() -> None:
    """Both are offered without asking anybody."""
    assert "plain,explain" in offered("reconciler ex").stdout
    assert "plain,--commands" in offered("reconciler plan --c").stdout


@pytest.mark.parametrize("line", ["reconciler explain ", "reconciler slots --backend "])
def test_where_nothing_can_be_read_nothing_is_offered(
    line: str, tmp_path: Path
) -> None:
    """Without a word: no engine, no HAProxy, or a file that does not parse."""
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("haproxi = 1")

    for config in ("", str(wrong)):
        done = offered(line, **({"RECONCILER_CONFIG": config} if config else {}))
        assert (done.stdout.strip(), done.stderr) == ("", "")


def test_hostile_names_are_not_offered() -> None:
    """What a shell might not take for one plain word stays out."""
    names = ["web-1", "web 2", "web$(reboot)", "web\n3", "wéb"]

    assert fitting(names, "we") == ["web-1"]
