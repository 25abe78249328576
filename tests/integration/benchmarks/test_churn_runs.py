"""The benchmarks of churn and of many HAProxies run to their ends, and write what they promise."""

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
SECONDS = 60


def document(folder: Path, name: str, *options: str) -> dict[str, Any]:
    """Run a benchmark; return what it wrote."""
    binary(VERSION)
    output = folder / f"{name}.json"
    done = subprocess.run(
        [
            *(sys.executable, f"benchmarks/{name}", "--quick", *options),
            *("--haproxy", VERSION, "--output", str(output)),
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


@pytest.fixture(scope="module")
def churn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run of few events wrote."""
    folder = tmp_path_factory.mktemp("churn")
    return document(folder, "churn", "--events", "800", "--containers", "20")


@pytest.fixture(scope="module")
def fanout(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run of few HAProxies wrote."""
    folder = tmp_path_factory.mktemp("fanout")
    return document(folder, "fanout", "--sizes", "1", "3", "--pairs", "3")


def value_of(written: dict[str, Any], what: str) -> float:
    """Return what a target was judged by."""
    (found,) = [one["value"] for one in written["verdicts"] if one["what"] == what]
    return float(found)


@pytest.mark.parametrize("when", ["after warm-up", "at the end"])
@pytest.mark.parametrize(
    "name",
    [
        "daemon's memory",
        "HAProxy's memory",
        "daemon's open files",
        "start -> ready",
        "stop signal -> drain",
    ],
)
def test_both_ends_of_the_churn_are_there(
    churn: dict[str, Any], name: str, when: str
) -> None:
    """Each figure has values after the warm-up and at the end."""
    assert churn["series"][f"{name} {when}"]["n"] > 0


def test_the_map_is_right_after_the_churn(churn: dict[str, Any]) -> None:
    """Every container that runs is ready once, and every other slot is free."""
    assert value_of(churn, "slots that are wrong at the end") == 0
    assert churn["facts"]["over time"]["events"][-1] == 800


def test_the_churn_tells_who_took_the_processors(churn: dict[str, Any]) -> None:
    """The engine shares them with what is measured, so its part is told."""
    assert churn["facts"]["processor shares"].keys() == {"daemon", "haproxy", "engine"}


@pytest.mark.parametrize("word", ["start -> ready", "stop signal -> drain"])
def test_many_are_compared_with_one(fanout: dict[str, Any], word: str) -> None:
    """Latencies of any instance and of the last one, as ratios to a single HAProxy's."""
    pairs = {(ratio["of"], ratio["over"]) for ratio in fanout["ratios"]}

    for which in ("any instance", "the last one"):
        assert (f"3: {word}, {which}", f"1: {word}, {which}") in pairs


@pytest.mark.parametrize("word", ["start -> ready", "stop signal -> drain"])
def test_the_others_are_measured_three_ways(fanout: dict[str, Any], word: str) -> None:
    """The one that stays well has a value of each change, whatever becomes of the two."""
    for how in ("all well", "two hurt", "without the two"):
        assert fanout["series"][f"others, {how}: {word}"]["n"] == 3


def test_nobody_who_is_well_misses_a_change(fanout: dict[str, Any]) -> None:
    """A stalled and a dead HAProxy keep no change from the others."""
    what = "changes that an instance which is well did not have, or not in time"

    assert value_of(fanout, what) == 0
