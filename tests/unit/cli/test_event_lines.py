"""How events look to a person, and how their times are written."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click
import pytest
from tests.support.snapshots import require_snapshot
from tests.unit.cli.conftest import Reconciler

from reconciler.cli.event_lines import event_line
from reconciler.cli.moments import Moment
from reconciler.cli.render import console
from reconciler.journal import NEWS, Entry
from reconciler.metrics import KINDS


NOON = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC).timestamp()
TODAY = dt.date(2026, 1, 31)
WHO: dict[str, Any] = {
    "backend": "web",
    "address": "10.0.0.7",
    "port": 80,
    "container_id": "a" * 64,
    "container": "web-3",
}


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is UTC, for the length of a test."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def entry(kind: str, at: float = NOON, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return an entry as the daemon sends it."""
    found = Entry(id=1, at=at, kind=kind, **{"haproxy": "unix:///a", **more})
    shown: dict[str, Any] = json.loads(json.dumps(asdict(found)))
    return shown


ENTRIES = [
    entry(
        "docker_followed", NOON - 86400, haproxy=None, reason="a whole list was read"
    ),
    entry("haproxy_reached", reason="haproxy 3.0.11, pid 17"),
    *(
        entry(
            kind, NOON + i, **WHO, slot=f"slot{i}", reason=f"why {kind}", latency_ms=4.6
        )
        for i, kind in enumerate(KINDS)
    ),
    entry(
        "release", slot="slot2", backend="web", address="10.0.0.3", port=80, reason="y"
    ),
    entry("unplaced", **WHO, reason="all 8 slots are taken: raise the count"),
    entry("unplaced", container="web-9", reason="no backend"),
    entry("refused", backend="web", slot="slot1", reason='haproxy answered "no"'),
    entry(
        "held", backend="web", slot="slot1", address="::1", port=80, reason="by hand"
    ),
    entry(
        "unheld", backend="web", slot="slot1", reason="no operator holds it any more"
    ),
    entry("haproxy_lost", reason="cannot open unix:///a"),
    entry("haproxy_replaced", reason="the session ended"),
    entry("haproxy_found", reason="container lb.1.x, by swarm://lb"),
    entry("haproxy_gone", reason="its container has gone"),
    entry("docker_lost", haproxy=None, reason="docker cannot be reached"),
]


def test_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    """One line each: when, what, where, who, why, how late."""
    assert {one["kind"] for one in ENTRIES} == {*KINDS, *NEWS}
    out = console()
    for one in ENTRIES:
        out.print(event_line(one, today=TODAY))
    out.print(event_line(ENTRIES[2], today=TODAY, with_haproxy=True))

    require_snapshot("events-of-every-kind", capsys.readouterr().out)


def test_hostile_text_stays_on_its_line() -> None:
    """Names and reasons come from elsewhere."""
    bad = "x\n\x1b[2J+ web/slot9"
    for kind in ("assign", "held", "docker_lost"):
        shown = event_line(
            entry(
                kind, haproxy=bad, backend=bad, container=bad, address=bad, reason=bad
            ),
            today=TODAY,
            with_haproxy=True,
        )
        assert shown.plain.isprintable()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", NOON - 90),
        ("10m", NOON - 600),
        ("2h", NOON - 7200),
        ("1d", NOON - 86400),
        ("999999999d", 0.0),
        ("2026-01-31T11:30", NOON - 1800),
        ("2026-01-31 11:30:00.5", NOON - 1799.5),
        ("2026-01-31T13:30:00+02:00", NOON - 1800),
        ("2026-01-31", NOON - 43200),
    ],
)
def test_a_moment(text: str, expected: float) -> None:
    """So long ago, or at a time, which is local without a zone."""
    moment = Moment(lambda: NOON).convert(text, None, None)

    assert moment == expected


@pytest.mark.parametrize(
    "text", ["", "10", "10 m", "-10m", "m", "yesterday", "٣m", "1w"]
)
def test_what_is_no_moment(text: str) -> None:
    """The text and the accepted forms."""
    with pytest.raises(click.BadParameter, match="is no time: 90s, 10m, 2h and 1d are"):
        Moment().convert(text, None, None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--kind", "asign"), "'asign'"),
        (("--since", "soon"), '"soon" is no time'),
        (("--listen", "off"), "the daemon listens nowhere (--listen off)"),
        (("--listen", "127.0.0.1:1"), "no daemon answers at http://127.0.0.1:1: "),
        (("--listen", "0.0.0.0:1"), "no daemon answers at http://127.0.0.1:1: "),
        (
            ("--listen", "[::]:1", "--no-follow"),
            "no daemon answers at http://[::1]:1: ",
        ),
    ],
)
def test_what_cannot_be_followed(
    reconciler: Reconciler, arguments: tuple[str, ...], words: str
) -> None:
    """Nothing on standard output, and an error that helps."""
    done = reconciler("events", *arguments)

    assert (done.code > 0, done.stdout) == (True, "")
    assert words in done.stderr
