"""The benchmark behind docs/sizing.md runs to its end, and writes what the page quotes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.haproxy_process import binary


pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
VERSION = "3.0"
SECONDS = 50


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run of tiny sizes wrote."""
    binary(VERSION)
    output = tmp_path_factory.mktemp("capacity") / "capacity.json"
    done = subprocess.run(
        [
            *(sys.executable, "benchmarks/capacity", "--quick"),
            *("--haproxy", VERSION, "--sizes", "20", "--output", str(output)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    written: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return written


@pytest.mark.parametrize(
    "name",
    [
        "memory: 3.0 0 slots",
        "a slot: 3.0 20 slots",
        "a filled slot: 3.0 20 slots",
        "start: 3.0 20 slots nbthread 2",
        "show servers state: 3.0 20 slots",
        "show stat, one server: 3.0 20 slots",
        "set weight: 3.0 20 slots",
        "placing: 3.0 20 slots",
        "idle, 20 checked slots in maint: 3.0",
        "cpu of one check: 3.0",
        "request p99, burst: 3.0 nbthread 1",
        "request p99, burst elsewhere: 3.0 nbthread 2",
        "request p50, reading: 3.0 nbthread 1",
    ],
)
def test_a_figure_is_there(document: dict[str, Any], name: str) -> None:
    """Each series has a value for each of the two rounds."""
    assert document["series"][name]["n"] == 2


def test_every_size_is_compared_with_no_slots(document: dict[str, Any]) -> None:
    """Memory, start and commands are ratios to the same HAProxy without slots."""
    pairs = {(ratio["of"], ratio["over"]) for ratio in document["ratios"]}

    for what in ("memory", "start", "set weight"):
        assert (f"{what}: 3.0 20 slots", f"{what}: 3.0 0 slots") in pairs


def test_a_checked_slot_takes_a_file(document: dict[str, Any]) -> None:
    """HAProxy counts one more open file for each slot with a check."""
    files = document["facts"]["files"]

    assert document["facts"]["not run"] == {}
    assert files["3.0 20 slots"] - files["3.0 0 slots"] == 20


def test_a_daemon_uses_one_session_and_a_second_while_somebody_looks(
    document: dict[str, Any],
) -> None:
    """However many ask, the statistics are read on one session."""
    at_once = {one["who"]: one["at_once"] for one in document["facts"]["sessions"]}

    assert at_once["the daemon"] == 1
    assert at_once["the daemon while five ask for /api/slots"] == 2


def test_without_a_session_everyone_names_the_limit(document: dict[str, Any]) -> None:
    """Who comes too late ends with 1 and names `stats maxconn`; who was there works on."""
    found = {one["who"]: one for one in document["facts"]["no session left"]}

    assert "placed" in found["a daemon that was there before"]["said"]
    for who in ("reconciler slots", "reconciler check"):
        assert found[who]["code"] == 1
        assert '"stats maxconn" are taken' in found[who]["said"]
    assert '"stats maxconn" are taken' in found["a daemon that starts"]["said"]


def test_a_short_stats_timeout_costs_sessions(document: dict[str, Any]) -> None:
    """A daemon whose session ends between its questions opens another, and still places."""
    found = {
        one["stats_timeout"]: one for one in document["facts"]["stats timeout"][VERSION]
    }

    assert found["10s"]["connects"] == 0
    assert found["100ms"]["connects"] > 0
    assert found["100ms"]["placed_seconds"] is not None
