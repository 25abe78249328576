"""Processes of a container, as this machine's /proc shows them. Needs root."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import NamedTuple


PROC = Path("/proc")


class HostProcess(NamedTuple):
    """One process; its start tells it from another one with the same number."""

    pid: int
    started_ticks: int


def processes_beside(pid: int, name: str) -> frozenset[HostProcess]:
    """Return the processes of this name in the same container as ``pid``.

    None where /proc does not let us look.
    """
    try:
        space = (PROC / str(pid) / "ns" / "pid").readlink()
    except OSError:
        return frozenset()
    found = set()
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if (folder / "ns" / "pid").readlink() == space:
                fields = (folder / "stat").read_text(encoding="utf-8")
                head, _, rest = fields.rpartition(")")
                state, started = rest.split()[0], int(rest.split()[19])
                if head.partition("(")[2] == name and state != "Z":
                    found.add(HostProcess(int(folder.name), started))
    return frozenset(found)


def open_files(pid: int) -> int:
    """Return how many file descriptors a process has open. Raises OSError."""
    return sum(1 for _ in (PROC / str(pid) / "fd").iterdir())


def resident_kb(pid: int) -> int:
    """Return a process's resident memory. Raises OSError."""
    status = (PROC / str(pid) / "status").read_text(encoding="utf-8")
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) if found else 0
