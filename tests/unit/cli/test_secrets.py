"""Credentials in a URL never get out: not in a message, a log line, a metric or JSON."""

from __future__ import annotations

import pytest
from tests.fakes.loop import looping
from tests.fakes.proxy import FakeProxy
from tests.unit.cli.conftest import Reconciler

from reconciler.discovery.engine import Engine
from reconciler.errors import (
    DockerUnavailableError,
    printable,
    quoted,
    without_credentials,
)
from reconciler.web import readiness


SECRET = "pa55word"
URLS = [
    f"tcp://me:{SECRET}@127.0.0.1:1",
    f"https://me:{SECRET}@127.0.0.1:1",
    f"me:{SECRET}@127.0.0.1:1",
    f"tcp://me:{SECRET}/x@127.0.0.1:1",
    f"tcp://me:{SECRET}@@127.0.0.1:1",
    f"nonsense://me:{SECRET}@127.0.0.1:1",
]
COMMANDS = [
    ("slots",),
    ("slots", "--json", "-v"),
    ("plan", "--json", "-v"),
    ("explain", "web-1", "-v"),
    ("check",),
    ("check", "--json", "-v"),
    ("drain", "web-1", "-v"),
]


@pytest.mark.parametrize(
    ("command", "url"),
    [
        *((command, URLS[0]) for command in COMMANDS),
        *((COMMANDS[1], url) for url in URLS[1:]),
    ],
)
def test_no_command_says_them(
    reconciler: Reconciler, command: tuple[str, ...], url: str
) -> None:
    """An engine that cannot be reached is named without them."""
    done = reconciler(*command, "--docker", url)

    said = done.stdout + done.stderr
    assert done.code == 1
    assert "docker" in said
    assert SECRET not in said


def test_nor_those_of_the_environment(
    reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DOCKER_HOST is no other than --docker."""
    monkeypatch.setenv("DOCKER_HOST", URLS[0])

    assert "docker at tcp://***@127.0.0.1:1 cannot" in reconciler("slots").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("slots", "--haproxy", f"tcp://me:{SECRET}@127.0.0.1:1"),
        ("slots", "--listen", f"http://me:{SECRET}@host"),
        ("slots", "--backend-port", f"http://me:{SECRET}@host"),
        ("explain", f"tcp://me:{SECRET}@host"),
    ],
    ids=" ".join,
)
def test_wrong_usage_does_not_repeat_them(
    reconciler: Reconciler, arguments: tuple[str, ...]
) -> None:
    """A URL in the wrong place is quoted without them."""
    done = reconciler(*arguments)

    assert done.code > 0
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize("url", URLS)
async def test_an_engines_error_has_none(url: str) -> None:
    """What readiness, events and the log repeat of it has none either."""
    engine = Engine(url, timeout_seconds=1)
    with pytest.raises(DockerUnavailableError) as caught:
        await engine.containers()
    await engine.aclose()
    async with looping(FakeProxy()) as loop:
        loop.controller.engine_lost(str(caught.value))
        _, detail = readiness(loop.controller)
        entries = loop.journal.entries()
        metrics = loop.metrics.exposition().decode()

    assert SECRET not in f"{engine.name} {caught.value} {detail} {entries} {metrics}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tcp://u:p@h:1/x", "tcp://***@h:1/x"),
        ("a http://u:p@h and https://v@k", "a http://***@h and https://***@k"),
        ("unix:///run/a@b.sock", "unix:///run/a@b.sock"),
        ("me@example.org", "me@example.org"),
        ("http://h/?q=a@b", "http://h/?q=a@b"),
    ],
)
def test_credentials_in_a_text(text: str, shown: str) -> None:
    """Only what stands before a host, and nothing else with an @."""
    assert without_credentials(text) == shown
    assert quoted(text) == f'"{shown}"'


def test_a_hostile_text_costs_one_reading() -> None:
    """255 kB without an end do not keep anybody busy."""
    for hostile in ("A" * 260_000, "://" * 90_000, "://" + "a" * 260_000):
        assert without_credentials(hostile) == hostile


def test_what_is_printable_stays_as_it_is() -> None:
    """Letters of all scripts stay; controls and line separators are escaped."""
    assert printable("wéb-Ж 1") == "wéb-Ж 1"
    assert printable("a\n\x1b\u2028\u202eb") == "a\\n\\x1b\\u2028\\u202eb"
