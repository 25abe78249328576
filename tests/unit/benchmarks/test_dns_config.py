"""The DNS contender's configuration is base.cfg but for its server-template line."""

from __future__ import annotations

import difflib
import subprocess
from pathlib import Path

import pytest
from tests.support.haproxy_process import BASE_CFG, binary
from zero_loss.dns_config import ConfigError, with_dns, with_log


def test_only_the_template_of_web_changes() -> None:
    """One line is replaced and a resolvers section added; all else is base.cfg's."""
    base = BASE_CFG.read_text().splitlines()
    derived = with_dns(BASE_CFG.read_text()).splitlines()

    changes = [
        line
        for line in difflib.ndiff(base, derived)
        if line[:2] in ("- ", "+ ") and "server-template" in line
    ]
    removed = [line for line in difflib.ndiff(base, derived) if line[:2] == "- "]

    assert [line[2:].split() for line in changes] == [
        ["server-template", "slot", "1-64", "127.255.255.1:8000", "disabled"],
        [
            "server-template",
            "slot",
            "1-64",
            "web:8000",
            "check",
            "resolvers",
            "docker",
            "init-addr",
            "none",
        ],
    ]
    assert len(removed) == 1


@pytest.mark.parametrize(
    "base",
    [
        pytest.param("backend api\n    server a 10.0.0.1:80\n", id="no backend web"),
        pytest.param("backend web\n    server a 10.0.0.1:80\n", id="no template"),
        pytest.param("backend web\nbackend web\n", id="two of them"),
    ],
)
def test_an_unknown_shape_is_refused(base: str) -> None:
    """Where the replacement would miss, the benchmark says so instead of measuring it."""
    with pytest.raises(ConfigError):
        with_dns(base)


@pytest.mark.integration
def test_haproxy_accepts_it(tmp_path: Path) -> None:
    """The derived file is a valid configuration."""
    path = tmp_path / "dns.cfg"
    path.write_text(with_log(with_dns(BASE_CFG.read_text()), "/run/watch/log"))

    done = subprocess.run(
        [str(binary("3.0")), "-c", "-f", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_a_log_more_is_one_line() -> None:
    """It goes into the section ``global``; a text that has none is refused."""
    base = BASE_CFG.read_text()
    changed = with_log(base, "/run/watch/log")
    added = [
        x for x in difflib.ndiff(base.split("\n"), changed.split("\n")) if x[0] in "+-"
    ]

    assert added == ["+     log /run/watch/log format raw local0 notice"]
    with pytest.raises(ConfigError):
        with_log("defaults\n", "/run/watch/log")
