"""One more container of a Compose service, made by the engine's API alone.

As Compose would make it, and a copy of one that it did make: same image, command, labels,
mounts, network and alias. But without Compose, which takes a processor for a second each
time, and just when it is to be measured how soon somebody else has heard of it.
"""

from __future__ import annotations

import contextlib
import json
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

from latency.bare import address_in
from latency.docker_socket import DockerSocket, EngineError, EventSocket


STOP_SECONDS = 10
_COPIED = (
    "Image",
    "Cmd",
    "Entrypoint",
    "User",
    "Env",
    "ExposedPorts",
    "StopSignal",
    "StopTimeout",
)


@dataclass(slots=True)
class Twins:
    """Starts and stops copies of one container."""

    docker: str
    """The path of the engine's socket."""
    model: str
    """The id of the container to copy."""
    service: str
    _engine: DockerSocket = field(init=False)
    _events: EventSocket = field(init=False)
    _document: dict[str, Any] = field(init=False)
    _alive: list[str] = field(default_factory=list)
    _made: int = 0

    def __post_init__(self) -> None:
        """Read the model, and subscribe to its project's events."""
        self._engine = DockerSocket(self.docker)
        self._document = self._engine.get(f"/containers/{self.model}/json")
        project = self._document["Config"]["Labels"]["com.docker.compose.project"]
        self._events = EventSocket(
            self.docker,
            {
                "type": ["container"],
                "event": ["start", "kill"],
                "label": [f"com.docker.compose.project={project}"],
            },
        )

    def create(self) -> str:
        """Create one; return its id."""
        self._made += 1
        config, host = self._document["Config"], self._document["HostConfig"]
        (network,) = self._document["NetworkSettings"]["Networks"]
        number = str(100 + self._made)
        labels = {
            **config["Labels"],
            "com.docker.compose.container-number": number,
        }
        name = self._document["Name"].lstrip("/").rsplit("-", 1)[0]
        made = self._engine.call(
            "POST",
            f"/containers/create?name={urllib.parse.quote(f'{name}-{number}')}",
            {
                **{key: config.get(key) for key in _COPIED},
                "Labels": labels,
                "HostConfig": {
                    "Binds": host["Binds"],
                    "Mounts": host.get("Mounts"),
                    "NetworkMode": network,
                },
                "NetworkingConfig": {
                    "EndpointsConfig": {network: {"Aliases": [self.service]}}
                },
            },
        )
        container_id = str(made["Id"])
        self._alive.append(container_id)
        return container_id

    def start(self, container_id: str) -> tuple[int, str]:
        """Start one; return the engine's stamp of that, and its address."""
        self._events.forget()
        self._engine.call("POST", f"/containers/{container_id}/start")
        stamp = self._stamp(container_id, "start")
        document = self._engine.get(f"/containers/{container_id}/json")
        return stamp, address_in(document)

    def stop(self, container_id: str) -> int:
        """Stop one in order; return the engine's stamp of its stop signal."""
        self._events.forget()
        self._engine.call("POST", f"/containers/{container_id}/stop?t={STOP_SECONDS}")
        return self._stamp(container_id, "kill")

    def remove(self, container_id: str) -> None:
        """Remove one."""
        self._alive.remove(container_id)
        self._engine.call("DELETE", f"/containers/{container_id}?force=1&v=1")

    def remove_all(self) -> None:
        """Remove all that are left."""
        for container_id in list(self._alive):
            with contextlib.suppress(EngineError, OSError, json.JSONDecodeError):
                self._alive.remove(container_id)
                DockerSocket(self.docker).call(
                    "DELETE", f"/containers/{container_id}?force=1&v=1"
                )

    def _stamp(self, container_id: str, action: str) -> int:
        while True:
            event, _ = self._events.next()
            if event["Action"] == action and event["Actor"]["ID"] == container_id:
                return int(event["timeNano"])
