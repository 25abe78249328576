"""Texts that are compared with a file that people can read.

``UPDATE_SNAPSHOTS=1 pytest …`` writes the files anew: then read their diff.
"""

from __future__ import annotations

import os
from pathlib import Path


def assert_snapshot(folder: Path, name: str, text: str) -> None:
    """Compare a text with ``NAME.txt``; escape characters stand there as ``␛``."""
    path = folder / f"{name}.txt"
    shown = text.replace("\x1b", "␛") + "\n"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.write_text(shown, encoding="utf-8")
    assert path.exists(), f"{path} is not there: run with UPDATE_SNAPSHOTS=1"
    assert shown == path.read_text(encoding="utf-8"), (
        f"{path.name} differs: if it should, run with UPDATE_SNAPSHOTS=1"
    )
