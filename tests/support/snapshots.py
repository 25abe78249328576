"""Views compared with text files: what a person sees, as it was agreed to.

``UPDATE_SNAPSHOTS=1 .venv/bin/pytest tests/unit/cli`` writes the files anew; what changed is
then read in the diff, as any other change is.
"""

from __future__ import annotations

import os
from pathlib import Path


FOLDER = Path(__file__).parents[1] / "unit" / "cli" / "snapshots"


def require_snapshot(name: str, shown: str, *, folder: Path = FOLDER) -> None:
    """Compare a text with the file of that name; write it where that is asked for.

    Raises AssertionError, with both texts, where they differ or there is no such file.
    """
    path = folder / f"{name}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.write_text(shown, encoding="utf-8")
    agreed = path.read_text(encoding="utf-8") if path.exists() else ""
    assert shown == agreed, f"{path.name} differs; if rightly so, UPDATE_SNAPSHOTS=1"
