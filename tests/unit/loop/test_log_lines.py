"""The lines of the log: their fields, one line each, and nothing that could forge another."""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from collections.abc import Iterator

import pytest
from tests.fakes.containers import container
from tests.fakes.loop import looping
from tests.fakes.proxy import FakeProxy
from tests.unit.docs import pages

from reconciler.core.model import (
    Action,
    AdminState,
    Container,
    Health,
    ServerRef,
    SetAddress,
)
from reconciler.logs import ObjectFormatter, TextFormatter, configure_logging


NAME = "unix:///fake"
ONE, TWO = container(1), container(2)
SLOT1 = ServerRef("web", "slot1")


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The records of a test, from info on."""
    caplog.set_level(logging.INFO)
    return caplog


@pytest.fixture
def configured() -> Iterator[None]:
    """Logging may be set up, and is as before afterwards."""
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    yield
    root.handlers[:] = kept
    root.setLevel(level)


def fields(record: logging.LogRecord) -> dict[str, object]:
    """Return a record as JSON has it, without what every line has."""
    shown: dict[str, object] = json.loads(ObjectFormatter().format(record))
    return {
        key: value
        for key, value in shown.items()
        if key not in {"time", "level", "name", "message"}
    }


async def test_a_change_has_every_field(log: pytest.LogCaptureFixture) -> None:
    """Where, who, why, how late, whose, and in which pass."""
    async with looping(FakeProxy()) as loop:
        await loop.reporter.until_passes(1)
        log.clear()
        loop.start(ONE, at=time.time())
        await loop.reporter.until_passes(2)

    [line] = [fields(record) for record in log.records]
    assert isinstance(line.pop("latency_ms"), float)
    assert line == {
        "kind": "assign",
        "backend": "web",
        "slot": "slot1",
        "container": "web-1",
        "container_id": "000000000000",
        "address": "10.0.0.1:8000",
        "reason": "a new endpoint",
        "haproxy": NAME,
        "pass": 2,
    }


async def test_a_hold_is_a_line_when_it_begins_and_when_it_ends(
    log: pytest.LogCaptureFixture,
) -> None:
    """Seen at a resync, told once."""
    proxy = FakeProxy()
    async with looping(proxy, containers=(ONE,), resync_seconds=0.02) as loop:
        await loop.reporter.until_passes(1)
        log.clear()
        proxy.set(SLOT1, admin=AdminState.DRAIN)
        await loop.reporter.until(lambda: "holds" in log.text, "the hold")
        await loop.reporter.until_passes(len(loop.reporter.passes) + 2)
        proxy.set(SLOT1, admin=AdminState.READY)
        await loop.reporter.until(lambda: "no operator" in log.text, "its end")

    assert [record.getMessage() for record in log.records] == [
        "an operator holds web/slot1 in drain",
        "no operator holds web/slot1 any more",
    ]
    assert (
        fields(log.records[0]).items()
        >= {
            "backend": "web",
            "slot": "slot1",
            "address": "10.0.0.1:8000",
            "haproxy": NAME,
        }.items()
    )


async def test_the_keys_are_those_of_the_page(log: pytest.LogCaptureFixture) -> None:
    """Everything that can be logged of the map, and at the start, is documented."""
    proxy = FakeProxy(slots=1)
    asked = iter([True])

    def refuses(action: Action) -> bool:
        return isinstance(action, SetAddress) and next(asked, False)

    proxy.refuses = refuses
    bad = container(3, labels={"haproxy.port": "x"})
    async with looping(proxy, containers=(ONE, TWO, bad)) as loop:
        await loop.reporter.until_passes(2)
        loop.start(container(1, health=Health.UNHEALTHY), at=time.time())
        await loop.reporter.until(lambda: "released" in log.text, "the drain")
    logging.getLogger("reconciler").info(
        "started", extra={"haproxies": 1, "docker": "unix:///x"}
    )
    seen = {
        key
        for record in log.records
        for key in json.loads(ObjectFormatter().format(record))
    }
    part = pages.section(pages.text_of("docs/operations.md"), "Logs")
    documented = {
        key for row in pages.table(part, "key") for key in pages.codes(row[0])
    }

    assert seen == documented


HOSTILE = 'web\n2026-01-31 14:30:05.123 INFO    released\u2028x\x1b[2J slot=slot9 "q"'


def hostile_container(number: int) -> Container:
    """Return a container whose name would like to be a line of its own."""
    return dataclasses.replace(container(number), name=f"{HOSTILE}{number}")


async def test_hostile_names_forge_nothing(log: pytest.LogCaptureFixture) -> None:
    """Text stays one printable line with its fields quoted; JSON one object of ASCII."""
    proxy = FakeProxy(slots=1)
    names = (hostile_container(1), hostile_container(2))
    async with looping(proxy, containers=names) as loop:
        await loop.reporter.until_passes(1)

    told = [record for record in log.records if "container" in vars(record)]
    assert len(told) == 2
    for record in told:
        text = TextFormatter().format(record)
        assert text.isprintable()
        assert f"container={json.dumps(vars(record)['container'])} " in text
        shown = ObjectFormatter().format(record)
        assert shown.isascii()
        assert "\n" not in shown
        assert json.loads(shown)["container"].startswith(HOSTILE)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        (4.6, "4.6"),
        ("a b", '"a b"'),
        ("a=b", '"a=b"'),
        ('say "x"', '"say \\"x\\""'),
        ("", '""'),
        ("é", "é"),
        ("x\u2028y", '"x\\u2028y"'),
        ("tcp://me:secret@host:1", "tcp://***@host:1"),
    ],
)
def test_a_value_is_one_word(value: object, shown: str) -> None:
    """Quoted where it could be taken for something else."""
    record = logging.makeLogRecord({"msg": "said", "key": value})

    assert TextFormatter().format(record).endswith(f"said  key={shown}")


def test_a_reason_is_not_said_twice() -> None:
    """The text leaves it out where the message ends with it; JSON has it."""
    record = logging.makeLogRecord({"msg": "no slot: all taken", "reason": "all taken"})

    assert TextFormatter().format(record).endswith("no slot: all taken")
    assert json.loads(ObjectFormatter().format(record))["reason"] == "all taken"


def test_a_traceback_forges_nothing() -> None:
    """Its lines are marked, whatever the exception says."""
    error = ValueError("x\n2026-01-31 INFO    released tcp://me:secret@h")
    record = logging.makeLogRecord(
        {"msg": "failed", "exc_info": (ValueError, error, None)}
    )
    first, *others = TextFormatter().format(record).splitlines()

    assert first.endswith("failed")
    assert all(line.startswith("  | ") for line in others)
    assert "secret" not in "".join(others)


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_credentials_are_never_logged(
    log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither in a message nor in a field."""
    configure_logging(log_format, "info")
    url = "https://me:s%3Aecret@docker.example:2376/x"
    logging.getLogger("x").info("docker at %s", url, extra={"docker": url})

    shown = capsys.readouterr().err
    assert "ecret" not in shown
    assert shown.count("https://***@docker.example:2376/x") == 2


@pytest.mark.usefixtures("configured")
def test_the_time_of_json_is_utc(capsys: pytest.CaptureFixture[str]) -> None:
    """RFC 3339, to the millisecond, with its zone."""
    configure_logging("json", "info")
    logging.getLogger("x").info("said")

    at = json.loads(capsys.readouterr().err)["time"]
    assert len(at) == len("2026-01-31T14:30:05.123+00:00")
    assert at.endswith("+00:00")
