"""The run's containers, on a real engine: all have the run's label, and all are removed."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from latency.bare import PORT
from latency.docker_socket import DockerSocket, EngineError
from latency.prober import RUN_LABEL
from latency.rig import STARTERS


@dataclass(slots=True)
class Containers:
    """Makes, starts, stops and removes them, one at a time or many at once."""

    docker: str
    """The path of the engine's socket."""
    image: str
    run: str
    placed: deque[str] = field(default_factory=deque)
    """Those that stand in slots, the oldest first."""
    names: dict[str, str] = field(default_factory=dict)
    _local: threading.local = field(default_factory=threading.local)

    @property
    def engine(self) -> DockerSocket:
        """This thread's own connection to the engine."""
        if not hasattr(self._local, "socket"):
            self._local.socket = DockerSocket(self.docker)
        socket: DockerSocket = self._local.socket
        return socket

    def create(self, *, is_placed: bool) -> str:
        """Create a container that does nothing; return its id."""
        labels = {RUN_LABEL: self.run}
        if is_placed:
            labels |= {"haproxy.backend": "bench", "haproxy.port": str(PORT)}
        else:
            labels["haproxy.enable"] = "false"
        name = f"reconciler-bench-{self.run}-{len(self.names) + 1}"
        made = self.engine.call(
            "POST",
            f"/containers/create?name={name}",
            {
                "Image": self.image,
                # It ends by itself even if nobody is left to remove it.
                "Cmd": ["sleep", "900"],
                "Labels": labels,
                "HostConfig": {
                    "NetworkMode": "bridge",
                    "Memory": 32 << 20,
                    "PidsLimit": 8,
                },
            },
        )
        container_id = str(made["Id"])
        self.names[container_id] = name
        if is_placed:
            self.placed.append(container_id)
        return container_id

    def start(self, container_id: str) -> None:
        """Start a container; the event comes before this returns."""
        self.engine.call("POST", f"/containers/{container_id}/start")

    def signal_stop(self, container_id: str) -> None:
        """Send SIGTERM, as a stop does first. `sleep` as process 1 does not heed it."""
        self.engine.call("POST", f"/containers/{container_id}/kill?signal=SIGTERM")

    def remove(self, container_id: str) -> None:
        """Kill and remove a container."""
        with contextlib.suppress(ValueError):
            self.placed.remove(container_id)
        self.engine.call("DELETE", f"/containers/{container_id}?force=1&v=1")

    def each(self, do: Callable[[str], None], ids: Iterable[str]) -> None:
        """Do this with each of them, several at a time. Raises what any of them raised."""
        with ThreadPoolExecutor(STARTERS) as pool:
            for _ in pool.map(do, list(ids)):
                pass

    def remove_all(self) -> None:
        """Remove whatever of the run is left."""
        query = f"%7B%22label%22:[%22{RUN_LABEL}={self.run}%22]%7D"
        left: list[dict[str, Any]] = DockerSocket(self.docker).get(
            f"/containers/json?all=1&filters={query}"
        )

        def remove(container_id: str) -> None:
            # A connection of its own: another one may have ended within an answer.
            with contextlib.suppress(EngineError, OSError):
                DockerSocket(self.docker).call(
                    "DELETE", f"/containers/{container_id}?force=1&v=1"
                )

        self.each(remove, [str(entry["Id"]) for entry in left])
