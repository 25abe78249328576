"""What a long run leaves behind in the reconciler: files, memory, counts.

Each process of it is a *life*: from when it has seen a full house once, to just before its
end. Growth is judged within a life; counters start at zero in each, and are added up.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from traffic.host_processes import open_files, resident_kb
from traffic.stacks import Project


ALLOWED_FILES = 4
"""docker-py keeps a connection for each URL in each thread, and the daemon has four threads:
one that reads the whole list for the first time opens one more, once."""

ALLOWED_GROWTH = 0.05
ALLOWED_KB = 2048
"""Python's allocator takes memory in arenas of 1 MiB and gives one back only when nothing
lives in it: two that stay for a few objects are no leak."""

LOOKS = 10
BETWEEN_LOOKS_SECONDS = 0.1

_METRICS = (
    "import urllib.request as u;"
    "print(u.urlopen('http://127.0.0.1:9700/metrics').read().decode())"
)


@dataclass(slots=True)
class Life:
    """One process: how it was once warm, and at its end."""

    pid: int
    first_files: int
    first_kb: int
    last_files: int = 0
    last_kb: int = 0

    @property
    def has_grown_files(self) -> bool:
        """Whether it holds clearly more files than it began with."""
        return self.last_files > self.first_files + ALLOWED_FILES

    @property
    def has_grown_memory(self) -> bool:
        """Whether it holds clearly more memory than it began with."""
        return self.last_kb > self.first_kb * (1 + ALLOWED_GROWTH) + ALLOWED_KB


@dataclass(slots=True)
class Vitals:
    """All lives of the run, and the counters of all of them together."""

    project: Project
    lives: list[Life] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def begin_life(self) -> None:
        """Take the measure of a process that has been warmed up."""
        pid = self.project.host_pid("reconciler")
        self.lives.append(Life(pid, files_at_rest(pid), resident_kb(pid)))

    def end_life(self) -> None:
        """Take it again, and add its counters to those of its forerunners."""
        # The question for its metrics opens a connection in it: that comes last.
        life = self.lives[-1]
        life.last_files, life.last_kb = files_at_rest(life.pid), resident_kb(life.pid)
        text = self.project.exec("reconciler", "python3", "-c", _METRICS)
        self.counts.update(counters_in(text))

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "lives": [asdict(life) for life in self.lives],
            "counters": dict(self.counts),
        }


def files_at_rest(pid: int) -> int:
    """Return the least of some looks: a health check in progress is no open file of its own."""
    fewest = open_files(pid)
    for _ in range(LOOKS):
        time.sleep(BETWEEN_LOOKS_SECONDS)
        fewest = min(fewest, open_files(pid))
    return fewest


def counters_in(exposition: str) -> dict[str, int]:
    """Return what is of interest in Prometheus' text, summed over HAProxies."""
    found: Counter[str] = Counter()
    for name, labels, value in re.findall(
        r"^reconciler_(\w+)_total(?:\{(.*)\})? (\S+)$", exposition, re.MULTILINE
    ):
        result = re.search(r'result="(\w+)"', labels)
        if name in ("passes", "commands") and result:
            found[f"{name} {result[1]}"] += int(float(value))
        elif name in ("haproxy_process_changes", "resync_corrections"):
            found[name.replace("_", " ")] += int(float(value))
    return dict(found)
