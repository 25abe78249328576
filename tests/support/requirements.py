"""What a test needs of the machine: skipped loudly where it is missing, failed under CI."""

from __future__ import annotations

import os

import pytest


def require(condition: object, what: str) -> None:
    """Go on if the condition holds. Else skip, naming what is missing; with CI set, fail."""
    if condition:
        return
    if os.environ.get("CI"):
        pytest.fail(f"missing under CI: {what}")
    pytest.skip(f"missing: {what}")
