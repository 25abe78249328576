"""The recorded session of the documents can be recorded again."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.engine import ROOT, Engine, run


def test_the_session_can_be_recorded(engine: Engine, tmp_path: Path) -> None:
    """Every scene still shows what it is there to show; the script itself checks that."""
    page = tmp_path / "session.md"
    run(
        [str(ROOT / "scripts" / "record-session"), "--output", str(page)],
        environment={**engine.environment, "SESSION_STACK": "session-test"},
        timeout_seconds=200,
    )

    def headings(text: str) -> list[str]:
        return re.findall(r"^## (.+)$", text, re.MULTILINE)

    recorded = page.read_text(encoding="utf-8")
    kept = (ROOT / "docs" / "session.md").read_text(encoding="utf-8")
    assert headings(recorded) == headings(kept)
    assert "Traceback" not in recorded
