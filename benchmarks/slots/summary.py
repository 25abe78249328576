"""The figures: medians, and what they are of the floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median


COMMANDS = ("slots", "slots --json")
FLOORS = (
    "floor: interpreter and libraries",
    "floor: show servers state",
    "floor: show stat",
    "floor: containers",
)
"""One after the other, they are the least that any such command could take."""

TARGET_SECONDS = 1.0


def floor(found: Mapping[str, Sequence[float]]) -> float:
    """Return the sum of the medians of the floors."""
    return sum(median(found[name]) for name in FLOORS)


def table(found: Mapping[str, Sequence[float]]) -> str:
    """Return a line for each case, the commands with their ratio to the floor."""
    least = floor(found)
    lines = [f"{'seconds':34} {'median':>7} {'worst':>7}"]
    for name, seconds in found.items():
        ratio = f"  {median(seconds) / least:.1f} x floor" if name in COMMANDS else ""
        lines.append(f"{name:34} {median(seconds):7.3f} {max(seconds):7.3f}{ratio}")
    lines.append(f"{'floor: all of it':34} {least:7.3f}")
    return "\n".join(lines)


def is_kept(found: Mapping[str, Sequence[float]]) -> bool:
    """Whether every command answers in time, by its median."""
    return all(median(found[name]) <= TARGET_SECONDS for name in COMMANDS)
