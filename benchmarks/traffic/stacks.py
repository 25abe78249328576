"""Compose projects to send load through: the end-to-end tests' own, for a benchmark's use."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
from pathlib import Path
from typing import Self

from tests.support.engine import STACK_ENV, CommandError, Engine, read_exports
from tests.support.stack import COMPOSE_FILE, Stack


def found_engine() -> Engine:
    """Return the engine that scripts/setup found; the environment's settings come first."""
    if not STACK_ENV.exists():
        raise CommandError("the stack is not set up: run scripts/setup")
    found = read_exports(STACK_ENV)
    engine = Engine(found | {name: os.environ.get(name, found[name]) for name in found})
    engine.docker("version", timeout_seconds=20)
    return engine


def end_on_sigterm() -> None:
    """Make SIGTERM do what Ctrl-C does, so that everything is taken down then too."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


class Project(Stack):
    """A Compose project whose HAProxy is reached by a port of this machine."""

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        services: tuple[str, ...],
        *,
        purpose: str,
        override: str | None = None,
        file: Path = COMPOSE_FILE,
    ) -> None:
        super().__init__(
            engine, folder, override=override, file=file, purpose=f"bench-{purpose}"
        )
        self._services = services

    def __enter__(self) -> Self:
        """Start the services that are wanted."""
        try:
            self.compose("up", "--detach", *self._services, timeout_seconds=120)
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_exc_info: object) -> None:
        """Take it away."""
        self.down()

    def container_ids(self, service: str) -> list[str]:
        """Return the running containers of a service, the oldest first."""
        listed = self.engine.docker(
            "ps",
            "--quiet",
            "--no-trunc",
            f"--filter=label=com.docker.compose.project={self.project}",
            f"--filter=label=com.docker.compose.service={service}",
        )
        return list(reversed(listed.split()))

    def front(self, port: int) -> tuple[str, int]:
        """Return where to reach a port of HAProxy's container.

        By the container's own address, as clients from elsewhere do: they are led there by
        the kernel. Only for clients on loopback Docker has a program in between, which
        accepts whether or not HAProxy does, and gives up for good when too much waits in
        it. The published port is taken where the address cannot be reached from here.
        """
        (container,) = self.container_ids("haproxy")
        address = self.engine.docker(
            "inspect",
            "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
            container,
        ).strip()
        try:
            socket.create_connection((address, port), timeout=2.0).close()
        except OSError:
            return "127.0.0.1", self.http_port
        return address, port

    def is_served(self) -> bool:
        """Whether a request through HAProxy is answered by the web service."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(
                "127.0.0.1", self.http_port, timeout=2.0
            )
            connection.request("GET", "/", headers={"Host": "localhost"})
            answer = connection.getresponse()
            answer.read()
            connection.close()
            return answer.status == 200 and bool(answer.getheader("X-Served-By"))
        return False

    def host_pid(self, service: str) -> int:
        """Return the process number, on this machine, of a service's one container."""
        (container,) = self.container_ids(service)
        state = self.engine.docker("inspect", "--format={{.State.Pid}}", container)
        return int(state)
