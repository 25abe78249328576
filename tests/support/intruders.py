"""Containers that look like a service's own and are not, each made as people make them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.support.engine import ROOT, run, wait_until
from tests.support.stack import Stack


APP = ROOT / "compose" / "app"
SERVE = ("python3", "-u", "/app/web.py")
_BUILD = """
services:
  web:
    image: {tag}
    build: .
"""


class Intruders:
    """Runs them beside a stack's ``web``, which they all serve as; removes them in the end."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder / "built"
        self._images: list[str] = []
        self.ids: dict[str, str] = {}
        """The full id of each, by its name."""

    def __enter__(self) -> Self:
        """Nothing runs yet."""
        return self

    def __exit__(self, *_exc_info: object) -> None:
        """Remove them, and the images they are of."""
        docker = self._stack.engine.docker
        if self.ids:
            docker("rm", "--force", "--volumes", *self.ids.values())
        if self._images:
            docker("image", "rm", "--force", *self._images)

    def one_off(self, kind: str, *options: str) -> str:
        """``docker compose run`` of the service, serving as it does; return its name."""
        name = self._name(kind)
        self._stack.compose(
            *("run", "--detach", "--no-deps", "--name", name, *options),
            *("web", *SERVE),
        )
        return self._took(name)

    def built(self) -> str:
        """Have Compose build an image of the service; return its tag.

        With BuildKit it writes project and service into it; the classic builder does not, so
        that they stand in the Dockerfile as well.
        """
        tag = f"{self._stack.project}-built"
        self._folder.mkdir()
        base = self._stack.engine.environment["WEB_IMAGE"]
        (self._folder / "Dockerfile").write_text(
            f"FROM {base}\n"
            f"LABEL com.docker.compose.project={self._stack.project}\n"
            "LABEL com.docker.compose.service=web\n"
        )
        (self._folder / "compose.yaml").write_text(_BUILD.format(tag=tag))
        file = str(self._folder / "compose.yaml")
        project = ("--project-name", self._stack.project, "--file", file)
        self._images.append(tag)
        run(
            ["docker", "compose", *project, "build", "web"],
            environment=self._stack.engine.environment,
            timeout_seconds=120,
        )
        return tag

    def committed(self, container_id: str) -> str:
        """``docker commit`` of a container; return the image's tag."""
        tag = f"{self._stack.project}-copy"
        self._images.append(tag)
        self._stack.engine.docker("commit", container_id, tag)
        return tag

    def plain(self, image: str, kind: str, network: str, *options: str) -> str:
        """``docker run`` of an image on a network; return its name."""
        name = self._name(kind)
        self._stack.engine.docker(
            *("run", "--detach", "--name", name, "--network", network),
            *(f"--volume={APP}:/app:ro", *options, image, *SERVE),
        )
        return self._took(name)

    def _name(self, kind: str) -> str:
        return f"{self._stack.project}-{kind}"

    def _took(self, name: str) -> str:
        """Note a container that was made, and return once it serves."""
        docker = self._stack.engine.docker
        found = docker("inspect", "--format", "{{.Id}}", name)
        self.ids[name] = found.strip()
        wait_until(
            lambda: "serves on port" in docker("logs", name), claim=f"{name} serves"
        )
        return name

    def labels(self, image: str) -> Mapping[str, str]:
        """Return what Docker says an image carries."""
        told = self._stack.engine.docker(
            *("image", "inspect", "--format"),
            "{{range $k, $v := .Config.Labels}}{{$k}}={{$v}}\n{{end}}",
            image,
        )
        pairs = (line.partition("=") for line in told.splitlines() if line)
        return {key: value for key, _, value in pairs}
