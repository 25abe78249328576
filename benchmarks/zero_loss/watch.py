"""Who watches a run from aside: servers that are up, containers that run, processes.

Four times a second, over connections that are cheap for all: HAProxy's statistics page, the
engine's own API, and /proc.
"""

from __future__ import annotations

import contextlib
import csv
import http.client
import json
import threading
import time
import urllib.parse
import urllib.request
from typing import NamedTuple, Self

from latency.docker_socket import DockerSocket, EngineError
from tests.support.engine import CommandError
from traffic.host_processes import HostProcess, processes_beside
from traffic.stacks import Project
from zero_loss.contenders import Contender


PERIOD_SECONDS = 0.25


class Sample(NamedTuple):
    """How it was at one moment; None is what could not be read then."""

    at: float
    ready: int | None
    running: int | None
    processes: int


class Watch:
    """Samples from entry to exit."""

    def __init__(self, project: Project, contender: Contender) -> None:
        host = project.engine.host
        if not host.startswith("unix://"):
            raise CommandError(f"DOCKER_HOST is {host}: only unix:// is watched")
        self._docker = DockerSocket(host.removeprefix("unix://"))
        self._url = f"http://127.0.0.1:{project.stats_port}/;csv"
        self._contender = contender
        filters = {
            "status": ["running"],
            "label": [
                f"com.docker.compose.project={project.project}",
                "com.docker.compose.service=web",
            ],
        }
        query = urllib.parse.urlencode({"filters": json.dumps(filters)})
        self._list = f"/containers/json?{query}"
        self._beside = project.host_pid("haproxy")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample_all, daemon=True)
        self.samples: list[Sample] = []

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        """End."""
        self._stop.set()
        self._thread.join(10.0)
        self._docker.close()

    def processes(self) -> frozenset[HostProcess]:
        """Return HAProxy's processes."""
        return processes_beside(self._beside, "haproxy")

    def _sample_all(self) -> None:
        while not self._stop.wait(PERIOD_SECONDS):
            at = time.monotonic()
            processes = len(self.processes())
            self.samples.append(Sample(at, self.ready(), self._running(), processes))

    def ready(self) -> int | None:
        """Return how many servers HAProxy itself calls up."""
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            with urllib.request.urlopen(self._url, timeout=1.0) as answer:
                text = answer.read().decode()
            return ready_in(text, self._contender.backend, self._contender.servers)
        return None

    def _running(self) -> int | None:
        with contextlib.suppress(OSError, EngineError):
            return len(self._docker.get(self._list))
        return None


def ready_in(page: str, backend: str, prefix: str) -> int:
    """Count the servers of a backend that are up, in a statistics page as CSV."""
    rows = csv.DictReader(page.removeprefix("# ").splitlines())
    return sum(
        row["pxname"] == backend
        and row["svname"].startswith(prefix)
        and row["status"].startswith(("UP", "no check"))
        for row in rows
    )
