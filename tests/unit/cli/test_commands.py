"""Every command without anything to talk to: help, and errors that help."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Reconciler

from reconciler import __version__


COMMANDS = ("run", "slots", "plan", "explain", "check", "drain", "ready", "maint")


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_the_commands_and_the_exit_codes(
    reconciler: Reconciler, flag: str
) -> None:
    """What there is, and what the exit codes mean."""
    done = reconciler(flag)

    assert done.code == 0
    assert [name for name in COMMANDS if f"  {name} " not in done.stdout] == []
    assert "0 done, 1 failed, 2 wrong usage, 3 changes pending" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(reconciler: Reconciler, command: str) -> None:
    """Every command tells what it does, and takes every common option."""
    done = reconciler(command, "--help")

    assert done.code == 0
    for option in ("--config", "--haproxy", "--docker", "--project", "--network"):
        assert option in done.stdout
    assert ("--json" in done.stdout) is (command != "run")


def test_version(reconciler: Reconciler) -> None:
    """The version that is also in the metrics."""
    assert reconciler("--version").stdout == f"reconciler, version {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nonsense",), "No such command 'nonsense'"),
        (("explain",), "Missing argument 'CONTAINER'"),
        (("slots", "extra"), "unexpected extra argument"),
    ],
)
def test_wrong_usage(
    reconciler: Reconciler, arguments: tuple[str, ...], words: str
) -> None:
    """Exit code 2, and nothing on standard output."""
    done = reconciler(*arguments)

    assert (done.code, done.stdout) == (2, "")
    assert words in done.stderr


@pytest.mark.parametrize("command", [("slots",), ("plan",), ("explain", "web-1")])
def test_nothing_can_be_read(
    reconciler: Reconciler, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """Exit 1; the engine and the HAProxy are both named, with cause and mend."""
    done = reconciler(*command)

    assert done.code == 1
    docker, haproxy = done.stderr.splitlines()
    assert docker.startswith(
        f"error: docker at unix://{tmp_path}/no-docker.sock cannot"
    )
    assert "No such file" in docker
    assert "correct --docker" in docker
    assert f"unix://{tmp_path}/no-haproxy.sock" in haproxy
    assert "it does not exist; is haproxy running" in haproxy
    assert "nothing to do" not in done.stdout


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("slots", {"slots": [], "unplaced": []}),
        (
            "plan",
            {"converged": False, "changes": [], "unplaced": [], "kept": []},
        ),
    ],
)
def test_json_of_nothing_is_still_json(
    reconciler: Reconciler, command: str, expected: dict[str, object]
) -> None:
    """A program reading standard output gets the object, and the exit code the failure."""
    done = reconciler(command, "--json")

    assert done.code == 1
    assert json.loads(done.stdout) == expected


def test_check_finds_what_is_broken(reconciler: Reconciler, tmp_path: Path) -> None:
    """Exit 1; a FAIL for the engine and for the HAProxy."""
    done = reconciler("check", "--json", "--listen", "off")

    found = json.loads(done.stdout)["findings"]
    assert done.code == 1
    names = ["verdict", "thing", "text", "mend", "section", "code"]
    assert [list(one) for one in found] == [names] * 3
    assert [(one["verdict"], one["thing"], one["code"]) for one in found] == [
        ("FAIL", "docker", "docker-absent"),
        ("FAIL", f"unix://{tmp_path}/no-haproxy.sock", "haproxy-absent"),
        ("ok", "base.cfg", "base-cfg"),
    ]


def test_check_says_that_base_cfg_is_not_there(
    reconciler: Reconciler, tmp_path: Path
) -> None:
    """A wrong path is a finding, not a crash."""
    done = reconciler("check", "--base-cfg", str(tmp_path / "absent.cfg"))

    assert done.code == 1
    assert done.stdout.startswith('settings\n  FAIL --base-cfg: base-cfg "')
    assert "correct --base-cfg or RECONCILER_BASE_CFG" in done.stdout
    assert "docker-absent" in reconciler("check", "--json").stdout


def test_one_haproxy_of_two_is_dead(reconciler: Reconciler, tmp_path: Path) -> None:
    """Every HAProxy that cannot be read is named by its own address."""
    urls = [f"unix://{tmp_path}/{name}.sock" for name in ("a", "b")]

    done = reconciler("slots", "--haproxy", urls[0], "--haproxy", urls[1])

    assert done.code == 1
    assert [url for url in urls if url not in done.stderr] == []


def test_piped_output_has_no_colour(reconciler: Reconciler) -> None:
    """Nothing but text where no terminal reads."""
    assert "\x1b" not in reconciler("check").stdout
