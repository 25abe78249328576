"""The stack files of compose/swarm, deployed to a swarm of a test's own, and seen from outside.

What HAProxy has is read from its own runtime socket, in its own container on each node.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tests.support.certificates import certificates
from tests.support.engine import ROOT, CommandError, run, wait_until
from tests.support.stack import ASK, ServerRow, server_rows
from tests.support.swarm_lab import SOCKET_AT, Node, SwarmLab


FOLDER = ROOT / "compose" / "swarm"
PORT = 8080


class SwarmStack:
    """One stack. As a context manager: deployed on entry, gone on exit."""

    def __init__(
        self,
        lab: SwarmLab,
        folder: Path,
        files: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.lab = lab
        self.name = f"shop{uuid.uuid4().hex[:6]}"
        self._files = [str(FOLDER / one) for one in files]
        self._certificates = folder / f"certificates-{self.name}"
        self._environment = {
            **lab.manager.environment,
            "STACK_NAME": self.name,
            "DOCKER_SOCKET_DIR": SOCKET_AT,
            "CERTIFICATES": str(self._certificates),
            **(environment or {}),
        }

    @property
    def network(self) -> str:
        """The network that HAProxy and its endpoints share."""
        return f"{self.name}_front"

    def __enter__(self) -> Self:
        """Deploy."""
        certificates(self._certificates)
        try:
            self.deploy()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_exc_info: object) -> None:
        """Print the reconcilers' logs, which pytest shows where the test failed; remove it."""
        for node, container in self.containers("reconciler"):
            print(node.hostname, self._logs(node, container))  # noqa: T201 - pytest keeps it
        self.remove()

    def deploy(self) -> None:
        """Deploy, or deploy anew."""
        files = [part for file in self._files for part in ("--compose-file", file)]
        run(
            [
                "docker",
                "stack",
                "deploy",
                "--resolve-image",
                "never",
                *files,
                self.name,
            ],
            environment=self._environment,
            timeout_seconds=120,
        )

    def remove(self) -> None:
        """Remove it, and wait until nothing of it runs."""
        manager = self.lab.manager
        manager.docker("stack", "rm", self.name, timeout_seconds=60)
        wait_until(
            lambda: not any(self._running(node) for node in self.lab.nodes),
            claim=f"nothing of the stack {self.name} runs",
            timeout_seconds=60,
        )

    def _running(self, node: Node) -> list[str]:
        label = f"label=com.docker.stack.namespace={self.name}"
        return node.docker("ps", "--quiet", "--filter", label).split()

    def _logs(self, node: Node, container: str) -> str:
        command = ["sh", "-c", 'docker logs --tail 60 "$0" 2>&1', container]
        try:
            return run(command, environment=node.environment)
        except CommandError as error:
            return str(error)

    def docker(self, *arguments: str, timeout_seconds: float = 60) -> str:
        """Run Docker's client on the manager."""
        return self.lab.manager.docker(*arguments, timeout_seconds=timeout_seconds)

    def scale(self, service: str, count: int) -> None:
        """Ask for another number of tasks, and do not wait for them."""
        self.docker("service", "scale", "--detach", f"{self.name}_{service}={count}")

    def update(self, service: str, *options: str) -> None:
        """Replace every task of a service, and do not wait for it."""
        command = ("service", "update", "--detach", "--force", *options)
        self.docker(*command, f"{self.name}_{service}")

    def containers(
        self, service: str, nodes: Sequence[Node] | None = None
    ) -> list[tuple[Node, str]]:
        """Return the running containers of a service with their nodes."""
        label = f"label=com.docker.swarm.service.name={self.name}_{service}"
        return [
            (node, container)
            for node in (self.lab.nodes if nodes is None else nodes)
            for container in node.docker(
                "ps", "--quiet", "--no-trunc", "--filter", label
            ).split()
        ]

    def tasks(self, service: str) -> dict[str, str]:
        """Return the addresses of the tasks that shall run and do, with their nodes' ids."""
        return self.lab.running(f"{self.name}_{service}", self.network)

    def servers(self, node: Node, container: str, backend: str) -> list[ServerRow]:
        """Return the servers of a HAProxy as it tells of them itself."""
        command = ("python3", "-c", ASK, f"show servers state {backend}")
        return server_rows(node.docker("exec", container, *command))

    def ready(
        self, backend: str, nodes: Sequence[Node] | None = None
    ) -> dict[str, list[str]]:
        """Return the addresses of ready slots of every HAProxy, by container; repeats kept."""
        return {
            container: sorted(
                row.address
                for row in self.servers(node, container, backend)
                if row.name.startswith("slot") and row.is_ready and row.weight
            )
            for node, container in self.containers("haproxy", nodes)
        }

    def until_converged(
        self,
        count: int,
        *,
        haproxies: int = 1,
        nodes: Sequence[Node] | None = None,
        timeout_seconds: float = 60,
    ) -> dict[str, str]:
        """Wait until so many tasks of ``web`` run, and each is once in every HAProxy.

        Returns them. ``nodes`` are those that are asked for their HAProxies.
        """

        def converged() -> dict[str, str]:
            tasks = self.tasks("web")
            assert len(tasks) == count, f"{len(tasks)} tasks run"
            ready = self.ready("web", nodes)
            assert len(ready) == haproxies, f"{len(ready)} HAProxies run"
            for container, addresses in ready.items():
                assert addresses == sorted(tasks), f"{container[:12]} has {addresses}"
            return tasks

        return wait_until(
            converged,
            claim=f"{count} tasks of web are ready in {haproxies} HAProxies",
            timeout_seconds=timeout_seconds,
        )

    def slots(self, *arguments: str) -> dict[str, Any]:
        """Return what ``reconciler slots --json`` prints beside the reconciler."""
        (node, container), *_ = self.containers("reconciler")
        text = node.docker(
            "exec", container, "reconciler", "slots", "--json", *arguments
        )
        found: dict[str, Any] = json.loads(text)
        return found

    def until_updated(
        self,
        before: set[str],
        count: int,
        *,
        haproxies: int = 1,
        timeout_seconds: float = 120,
    ) -> None:
        """Wait until none of these tasks is left, and others are in their place."""

        def updated() -> bool:
            assert not before & set(self.tasks("web"))
            return True

        wait_until(
            updated, claim="all tasks are others", timeout_seconds=timeout_seconds
        )
        self.until_converged(count, haproxies=haproxies)
