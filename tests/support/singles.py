"""Containers beside those of Compose, each run by a test with options of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.support.engine import wait_until
from tests.support.stack import Stack


SERVER = Path(__file__).with_name("slow_to_stop.py")


@dataclass(frozen=True, slots=True)
class Single:
    """One container: its full id, its name and its address on the project's network."""

    id: str
    name: str
    address: str


@dataclass(slots=True)
class Singles:
    """Runs single containers in a stack's project; removes them all in the end."""

    stack: Stack
    backend: str = "web"
    _ids: list[str] = field(default_factory=list)
    _made: int = 0

    def __enter__(self) -> Self:
        """Nothing runs yet."""
        return self

    def __exit__(self, *_exc_info: object) -> None:
        """Remove all that were run."""
        if self._ids:
            self.stack.engine.docker("rm", "--force", "--volumes", *self._ids)

    def run(self, *options: str, command: tuple[str, ...] = ()) -> Single:
        """Run a container that joins the backend, and takes a moment to stop.

        Without a command it is ``slow_to_stop.py``; ``options`` are of ``docker run``.
        """
        name = self._make("run", "--detach", *options, command=command)
        if not command:
            # Before that its first process would not hear a signal.
            wait_until(
                lambda: "serves" in self.stack.engine.docker("logs", name),
                claim=f"{name} serves",
            )
        return self.look(name)

    def create(self, *options: str, command: tuple[str, ...] = ()) -> Single:
        """Make such a container, and do not start it."""
        return self.look(self._make("create", *options, command=command))

    def _make(self, verb: str, *options: str, command: tuple[str, ...]) -> str:
        self._made += 1
        name = f"{self.stack.project}-single-{self._made}"
        server = ("python3", "-u", "/slow_to_stop.py")
        container_id = self.stack.engine.docker(
            *(verb, f"--name={name}"),
            f"--network={self.stack.project}_default",
            # Of that service, but not Compose's to count or remove. No label that names
            # the backend: another test's reconciler on this engine would take it for its own.
            f"--label=com.docker.compose.service={self.backend}",
            "--label=com.docker.compose.config-hash=none",
            f"--label=com.docker.compose.project={self.stack.project}",
            f"--volume={SERVER}:/slow_to_stop.py:ro",
            *options,
            self.stack.engine.environment["WEB_IMAGE"],
            *(command or server),
        ).strip()
        self._ids.append(container_id)
        return name

    def forget(self, single: Single) -> None:
        """The test has removed it by itself."""
        self._ids.remove(single.id)

    def look(self, name: str) -> Single:
        """Return a container as it is now."""
        found = self.inspect(name)
        networks = found["NetworkSettings"]["Networks"]
        network = networks.get(f"{self.stack.project}_default", {})
        return Single(
            found["Id"], found["Name"].removeprefix("/"), network.get("IPAddress", "")
        )

    def inspect(self, name: str) -> dict[str, Any]:
        """Return what the engine says of a container."""
        (found,) = json.loads(self.stack.engine.docker("inspect", name))
        assert isinstance(found, dict)
        return found
