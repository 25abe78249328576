"""docs/session.md against the scenes that it is recorded from."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.unit.docs import pages


def test_the_recorded_session_has_every_step() -> None:
    """What was typed is what scripts/record_session.py types now: else `make session`."""
    script = str(pages.ROOT / "scripts" / "record_session.py")
    listed = subprocess.run(
        [sys.executable, script, "--list"], capture_output=True, text=True, check=True
    )
    typed = re.findall(r"^\$ (.+)$", pages.text_of("docs/session.md"), re.MULTILINE)

    assert [line for line in typed if line != "echo $?"] == listed.stdout.splitlines()
