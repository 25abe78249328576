"""The demo's Compose project, started by a test under a name and on ports of its own.

A fifth service, ``probe``, is added: the tests ask HAProxy through it, by its runtime
socket and by HTTP, whether or not the reconciler runs and wherever the engine's network is.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.support.engine import ROOT, Engine, run, wait_until
from tests.support.ports import free_ports


COMPOSE_FILE = ROOT / "compose" / "compose.yaml"

_PROBE = """
services:
  probe:
    image: ${RECONCILER_IMAGE}
    user: "10002:10001"
    restart: always
    init: true
    entrypoint: [sleep, infinity]
    healthcheck: {disable: true}
    volumes: ["runtime:/run/haproxy"]
"""

ASK = """
import socket, sys
stream = socket.socket(socket.AF_UNIX)
stream.settimeout(5)
stream.connect("/run/haproxy/admin.sock")
stream.sendall(sys.argv[1].encode() + b"\\n")
sys.stdout.write(b"".join(iter(lambda: stream.recv(65536), b"")).decode())
"""

_GET = """
import sys, urllib.request
with urllib.request.urlopen("http://haproxy:8080" + sys.argv[1], timeout=10) as answer:
    sys.stdout.write(answer.read().decode())
"""


class RunningContainer(NamedTuple):
    """A container that runs: its full id, its name, its address on the project's network."""

    id: str
    name: str
    address: str


class ServerRow(NamedTuple):
    """One server as HAProxy itself reports it (``show servers state``)."""

    name: str
    address: str
    port: int
    is_up: bool
    admin: int
    weight: int

    @property
    def is_ready(self) -> bool:
        """Whether it is neither in maint nor in drain (bits of ``srv_admin_state``)."""
        return not self.admin & (0x01 | 0x02 | 0x20 | 0x08 | 0x10)


def server_rows(text: str) -> list[ServerRow]:
    """Read ``show servers state``."""
    lines = text.splitlines()
    header = next(line for line in lines if line.startswith("# ")).split()[1:]
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    found = [dict(zip(header, row, strict=False)) for row in rows if len(row) > 1]
    return [
        ServerRow(
            name=row["srv_name"],
            address=row["srv_addr"],
            port=int(row["srv_port"]),
            is_up=row["srv_op_state"] == "2",
            admin=int(row["srv_admin_state"]),
            weight=int(row["srv_uweight"]),
        )
        for row in found
    ]


class Stack:
    """One Compose project on one engine. As a context manager: up on entry, gone on exit."""

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        *,
        override: str | None = None,
        file: Path = COMPOSE_FILE,
        purpose: str = "e2e",
    ) -> None:
        self.engine = engine
        self.project = f"{purpose}-{uuid.uuid4().hex[:8]}"
        self.http_port, self.tcp_port, self.stats_port = free_ports(3)
        self._environment: Mapping[str, str] = {
            **engine.environment,
            "STACK_NAME": self.project,
            "HTTP_PORT": str(self.http_port),
            "TCP_PORT": str(self.tcp_port),
            "STATS_PORT": str(self.stats_port),
        }
        self._files = [str(file)]
        # Another file's services may have no runtime socket to ask.
        probe = _PROBE if file == COMPOSE_FILE else None
        for name, text in (("probe", probe), ("override", override)):
            if text:
                path = folder / f"{name}-{self.project}.yaml"
                path.write_text(text)
                self._files.append(str(path))

    def __enter__(self) -> Self:
        """Bring it up with one container of each service, and wait for HAProxy's socket."""
        try:
            self.compose("up", "--detach", timeout_seconds=120)
            wait_until(self.show_info, claim="HAProxy answers on its runtime socket")
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_exc_info: object) -> None:
        """Print the logs, which pytest shows only where the test failed; take it away."""
        logs = self.compose(
            "logs", "--no-color", "--tail", "40", "haproxy", "reconciler"
        )
        sys.stdout.write(logs)
        self.down()

    def down(self) -> None:
        """Remove the project with its volumes.

        An engine that is still taking a container off the network refuses to remove that.
        """

        def is_gone() -> bool:
            self.compose("down", "--volumes", "--timeout", "1", timeout_seconds=120)
            return True

        wait_until(is_gone, claim=f"the project {self.project} is gone")

    def compose(self, *arguments: str, timeout_seconds: float = 60) -> str:
        """Run ``docker compose`` on this project; raises CommandError."""
        files = [part for file in self._files for part in ("--file", file)]
        return run(
            ["docker", "compose", *files, *arguments],
            environment=self._environment,
            timeout_seconds=timeout_seconds,
        )

    def scale(self, service: str, count: int, *, timeout_seconds: float = 120) -> None:
        """Scale a service; returns when Compose is done, containers started or stopped."""
        options = ("--detach", "--no-deps", "--no-recreate", "--scale")
        self.compose(
            "up",
            *options,
            f"{service}={count}",
            service,
            timeout_seconds=timeout_seconds,
        )

    def exec(self, service: str, *command: str, timeout_seconds: float = 30) -> str:
        """Run a command in a service's first container; raises CommandError."""
        return self.compose(
            "exec", "-T", service, *command, timeout_seconds=timeout_seconds
        )

    def container(self, service: str) -> str:
        """Return the id of the one container of a service, running or not."""
        ids = self.compose("ps", "--all", "--quiet", service).split()
        assert len(ids) == 1, f"{service} has {len(ids)} containers"
        return ids[0]

    def running_containers(self, service: str) -> list[RunningContainer]:
        """Return the containers of a service that run, by Docker's own account."""
        ids = self.compose("ps", "--status", "running", "--quiet", service).split()
        found = json.loads(self.engine.docker("inspect", *ids)) if ids else []
        network = f"{self.project}_default"
        return [
            RunningContainer(
                one["Id"],
                one["Name"].removeprefix("/"),
                one["NetworkSettings"]["Networks"]
                .get(network, {})
                .get("IPAddress", ""),
            )
            for one in found
        ]

    def slots(self, *arguments: str) -> dict[str, Any]:
        """Return what ``reconciler slots --json`` prints in the reconciler's container."""
        text = self.exec("reconciler", "reconciler", "slots", "--json", *arguments)
        found: dict[str, Any] = json.loads(text)
        return found

    def runtime(self, command: str) -> str:
        """Send one command to HAProxy's runtime socket, past the reconciler."""
        return self.exec("probe", "python3", "-c", ASK, command)

    def show_info(self) -> dict[str, str]:
        """Return ``show info``, among others ``Pid`` and ``Uptime_sec``."""
        pairs = (line.partition(":") for line in self.runtime("show info").splitlines())
        return {name.strip(): value.strip() for name, _, value in pairs if value}

    def servers(self, backend: str) -> list[ServerRow]:
        """Return the servers of a backend as HAProxy reports them."""
        return server_rows(self.runtime(f"show servers state {backend}"))

    def ready_addresses(self, backend: str) -> list[str]:
        """Return the addresses of the ready and up slots, sorted, duplicates kept."""
        return sorted(
            row.address
            for row in self.servers(backend)
            if row.name.startswith("slot") and row.is_ready and row.is_up
        )

    def wait_converged(
        self, service: str, count: int, *, timeout_seconds: float = 30.0
    ) -> list[RunningContainer]:
        """Wait until ``count`` containers run and exactly they are ready, each once."""

        def converged() -> tuple[list[RunningContainer]]:
            containers = self.running_containers(service)
            wanted = sorted(one.address for one in containers)
            seen = self.ready_addresses(service)
            assert wanted == seen, f"running {wanted}, ready {seen}"
            assert len(containers) == count, f"{len(containers)} run"
            return (containers,)

        (found,) = wait_until(
            converged,
            claim=f"the {count} containers of {service} are its ready slots",
            timeout_seconds=timeout_seconds,
        )
        return found

    def get(self, path: str = "/") -> str:
        """GET a path through HAProxy from inside the project's network."""
        return self.exec("probe", "python3", "-c", _GET, path)
