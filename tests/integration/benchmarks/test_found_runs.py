"""The benchmark of HAProxies that are found runs to its end, and writes what it promises."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.benchmarks.test_churn_runs import document, value_of


pytestmark = pytest.mark.integration


def test_every_newcomer_is_seen_to_be_filled(tmp_path: Path) -> None:
    """Each counts once in each part of each round, and nothing is worth a warning."""
    written = document(tmp_path, "found", "--newcomers", "2", "--endpoints", "10")

    for part in ("one by one", "all at once"):
        assert written["series"][f"first answer -> slots right, {part}"]["n"] == 4
    assert value_of(written, "warnings and errors") == 0
