"""Certificates for tests, made by the script that operators use, or by openssl."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tests.support.engine import ROOT, run


class Certificates(NamedTuple):
    """An authority's certificate, HAProxy's and the reconciler's, each of these with its key."""

    ca: Path
    haproxy: Path
    reconciler: Path


def certificates(folder: Path, *, days: int = 2) -> Certificates:
    """Make an authority and what both sides need, in a folder that has none yet."""
    run([str(ROOT / "scripts" / "runtime-certificates"), str(folder), str(days)])
    names = ("runtime-ca.pem", "runtime.pem", "reconciler.pem")
    return Certificates(*(folder / name for name in names))
