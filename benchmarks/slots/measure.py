"""How long the commands take, and the floors of the same run, in turn."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rig import Rig, asked, listed


PROGRAM = str(Path(sys.executable).parent / "reconciler")
IMPORTS = "import asyncio, json, click, docker"
"""What no command can do without: event loop, JSON, command line, engine."""


def cases(rig: Rig) -> dict[str, Callable[[], object]]:
    """Return what is timed, by its name. Floors come before what they are floors of."""
    socket = rig.haproxy.socket
    return {
        "floor: interpreter": lambda: _run(sys.executable, "-c", "pass"),
        "floor: interpreter and libraries": lambda: _run(sys.executable, "-c", IMPORTS),
        "floor: show servers state": lambda: asked(socket, b"show servers state\n"),
        "floor: show stat": lambda: asked(socket, b"show stat -1 4 -1\n"),
        "floor: containers": lambda: listed(rig.docker_socket),
        "slots": lambda: _run(PROGRAM, "slots", *rig.arguments),
        "slots --json": lambda: _run(PROGRAM, "slots", "--json", *rig.arguments),
        "--version": lambda: _run(PROGRAM, "--version"),
    }


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def measured(rig: Rig, rounds: int) -> dict[str, list[float]]:
    """Return seconds by case. The first round warms up and does not count."""
    found: dict[str, list[float]] = {name: [] for name in cases(rig)}
    for _ in range(rounds + 1):
        for name, case in cases(rig).items():
            began = time.perf_counter()
            case()
            found[name].append(time.perf_counter() - began)
    return {name: seconds[1:] for name, seconds in found.items()}
