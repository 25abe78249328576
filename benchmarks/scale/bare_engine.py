"""The scripted engine asked by a bare client: what of a time is the engine's own."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote


def listed_seconds(path: Path, ids: Sequence[str], at_once: int = 100) -> float:
    """List containers by their ids, so many at once; return how many seconds that took."""
    filters = [
        json.dumps({"id": list(ids[start : start + at_once])})
        for start in range(0, len(ids), at_once)
    ]
    return _seconds(path, [f"/containers/json?filters={quote(one)}" for one in filters])


def whole_list_seconds(path: Path) -> float:
    """List all that run; return how many seconds that took."""
    return _seconds(path, ["/containers/json"])


def _seconds(path: Path, targets: Sequence[str]) -> float:
    """Ask on one blocking connection, and read nothing of the answers but their lengths."""
    with socket.socket(socket.AF_UNIX) as one, one.makefile("rb") as answers:
        one.settimeout(60.0)
        one.connect(str(path))
        began = time.perf_counter()
        for target in targets:
            one.sendall(f"GET {target} HTTP/1.1\r\nHost: engine\r\n\r\n".encode())
            heads = [line.lower() for line in iter(answers.readline, b"\r\n")]
            if b" 200 " not in heads[0]:
                raise OSError(f"the scripted engine answers {heads[0]!r}")
            length = next(h for h in heads if h.startswith(b"content-length:"))
            answers.read(int(length[15:]))
        return time.perf_counter() - began
