"""A swarm of several engines on one machine, for tests: real nodes, a real overlay network.

Each engine lives in a network namespace of its own, on a bridge that joins them as a switch
does; overlay networks run over VXLAN between them. Cutting a node's cable is setting its link
down. The test itself stands on the bridge too: it reaches published ports at a node's address.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from tests.support.engine import CommandError, Engine, PrivateEngine, run, wait_until


_NETWORK = "10.213"
"""Of the bridges: each lab takes a free third number, and is .254 itself."""

_OVERLAYS = "10.214.0.0/16"

SOCKET_AT = "/run/reconciler-lab"
"""Where containers of every node find their own engine's socket."""

HEARTBEAT_SECONDS = 1
"""How often a node has to be heard of; it is down when three were missed (5 s usually)."""


class Node(PrivateEngine):
    """One node: an engine of the test's own, at an address on the lab's bridge."""

    def __init__(self, source: Engine, hostname: str, address: str) -> None:
        super().__init__(source, hostname=hostname, socket_at=SOCKET_AT)
        self.hostname = hostname
        self.address = address
        self.link = f"lab{uuid.uuid4().hex[:8]}"
        """Its end of the cable at the bridge."""

    def read(self, path: str) -> Any:  # noqa: ANN401 - it is JSON
        """Ask its API."""
        socket = self.host.removeprefix("unix://")
        text = run(
            [
                *("curl", "--silent", "--fail-with-body", "--max-time", "10"),
                *("--unix-socket", socket, f"http://engine{path}"),
            ]
        )
        return json.loads(text)

    @property
    def node_id(self) -> str:
        """Its id in the swarm."""
        found: str = self.read("/info")["Swarm"]["NodeID"]
        return found


class SwarmLab:
    """Nodes that are a swarm, as a context manager. The first is the manager. Needs root."""

    def __init__(self, source: Engine, *, nodes: int = 3, managers: int = 1) -> None:
        self._bridge = f"lab{uuid.uuid4().hex[:8]}"
        self._third = _free_third()
        self._source = source
        self._managers = managers
        self.nodes = [
            Node(source, f"node{number}", f"{_NETWORK}.{self._third}.{number}")
            for number in range(1, nodes + 1)
        ]

    @property
    def manager(self) -> Node:
        """The first node."""
        return self.nodes[0]

    def __enter__(self) -> Self:
        """Start everything."""
        try:
            self._lay_cables()
            self._start_engines()
            self._join()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_exc_info: object) -> None:
        """Remove everything."""
        self._remove()

    def cut(self, *nodes: Node) -> None:
        """Cut nodes off from all others, and from the test."""
        for node in nodes:
            self._on_switch("link", "set", node.link, "down")

    def mend(self, *nodes: Node) -> None:
        """Undo it."""
        for node in nodes:
            self._on_switch("link", "set", node.link, "up")

    def freeze(self, node: Node) -> None:
        """Stop an engine's process where it is. Its containers go on."""
        os.kill(node.pid, signal.SIGSTOP)

    def thaw(self, node: Node) -> None:
        """Let it go on."""
        os.kill(node.pid, signal.SIGCONT)

    def state_of(self, node: Node) -> str:
        """Return a node's state as the manager has it: ready or down."""
        found: str = self.manager.read(f"/nodes/{node.hostname}")["Status"]["State"]
        return found

    def tasks(self, service: str, *, desired: str = "running") -> list[dict[str, Any]]:
        """Return the tasks of a service that shall run, as the manager tells of them."""
        filters = json.dumps({"service": [service], "desired-state": [desired]})
        quoted = filters.replace('"', "%22").replace("{", "%7B").replace("}", "%7D")
        quoted = quoted.replace("[", "%5B").replace("]", "%5D").replace(" ", "")
        tasks: list[dict[str, Any]] = self.manager.read(f"/tasks?filters={quoted}")
        return [one for one in tasks if one["DesiredState"] == desired]

    def running(self, service: str, network: str) -> dict[str, str]:
        """Return the addresses of tasks that shall run and do, with their nodes' ids."""
        found = {}
        for task in self.tasks(service):
            if task["Status"]["State"] == "running":
                for one in task["NetworksAttachments"]:
                    if one["Network"]["Spec"]["Name"] == network:
                        found[one["Addresses"][0].partition("/")[0]] = task["NodeID"]
        return found

    def until_running(
        self, service: str, network: str, count: int, *, timeout_seconds: float = 60
    ) -> dict[str, str]:
        """Wait until exactly so many tasks of a service run; return them."""
        return wait_until(
            lambda: (
                found if len(found := self.running(service, network)) == count else {}
            ),
            claim=f"{count} tasks of {service} run",
            timeout_seconds=timeout_seconds,
        )

    def _lay_cables(self) -> None:
        """Join all by a switch that is a namespace of its own.

        In the machine's own namespace the firewall of whatever engine runs there would drop
        what the bridge forwards.
        """
        run(["ip", "netns", "add", self._bridge])
        self._on_switch("link", "add", "switch", "type", "bridge")
        self._on_switch("link", "set", "switch", "up")
        run(["ip", "link", "add", self._bridge, *self._plug(self._bridge)])
        here = f"{_NETWORK}.{self._third}.254"
        run(["ip", "address", "add", f"{here}/24", "dev", self._bridge])
        run(["ip", "link", "set", self._bridge, "up"])
        for node in self.nodes:
            run(["ip", "netns", "add", node.namespace])
            _inside(node.namespace, "link", "add", "eth0", *self._plug(node.link))
            _inside(
                node.namespace, "address", "add", f"{node.address}/24", "dev", "eth0"
            )
            _inside(node.namespace, "link", "set", "eth0", "up")
        for link in (self._bridge, *(node.link for node in self.nodes)):
            self._on_switch("link", "set", link, "master", "switch", "up")

    def _plug(self, name: str) -> list[str]:
        """Return the words that make a cable to the switch, where its end has this name."""
        return ["type", "veth", "peer", "name", name, "netns", self._bridge]

    def _on_switch(self, *words: str) -> None:
        _inside(self._bridge, *words)

    def _start_engines(self) -> None:
        names = ("HAPROXY_IMAGE", "WEB_IMAGE", "RECONCILER_IMAGE")
        images = sorted({self._source.environment[name] for name in names})
        with tempfile.TemporaryDirectory() as folder:
            saved = str(Path(folder, "images.tar"))

            def started(node: Node) -> None:
                node.start()
                saving.result()
                node.docker("load", "--quiet", "--input", saved, timeout_seconds=300)

            with ThreadPoolExecutor() as pool:
                saving = pool.submit(self._source.docker, "save", "-o", saved, *images)
                list(pool.map(started, self.nodes))

    def _join(self) -> None:
        first = self.manager
        first.docker(
            *("swarm", "init", "--advertise-addr", first.address),
            *("--default-addr-pool", _OVERLAYS),
            *("--dispatcher-heartbeat", f"{HEARTBEAT_SECONDS}s"),
        )
        for number, node in enumerate(self.nodes[1:], 2):
            role = "manager" if number <= self._managers else "worker"
            token = first.docker("swarm", "join-token", "--quiet", role).strip()
            node.docker(
                *("swarm", "join", "--advertise-addr", node.address),
                *("--token", token, f"{first.address}:2377"),
            )

        def all_are_ready() -> bool:
            return all(self.state_of(node) == "ready" for node in self.nodes)

        wait_until(all_are_ready, claim="all nodes are ready")

    def _remove(self) -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(_removed, self.nodes))
        # Its cables go with it.
        subprocess.run(
            ["ip", "netns", "delete", self._bridge], check=False, capture_output=True
        )


def _inside(namespace: str, *words: str) -> None:
    """Run ``ip`` in a network namespace; `ip netns exec` would mount another /sys."""
    run(["nsenter", f"--net=/run/netns/{namespace}", "ip", *words])


def _removed(node: Node) -> None:
    """Take a node away whole, with the containers that its swarm would start again."""
    subprocess.run(
        ["docker", "swarm", "leave", "--force"],
        env={"DOCKER_HOST": node.host, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        check=False,
        capture_output=True,
        timeout=60,
    )

    def removed() -> bool:
        node.remove()
        return True

    # The engine is removing them as well, and says so of each that it is at.
    wait_until(removed, claim=f"{node.hostname} is gone", timeout_seconds=90)


def _free_third() -> int:
    """Return a third number that no bridge of this machine has: another run may be at work."""
    taken = run(["ip", "-4", "-o", "address"])
    for number in range(256):
        if f"{_NETWORK}.{number}." not in taken:
            return number
    raise CommandError(f"no network {_NETWORK}.0.0/24 to {_NETWORK}.255.0/24 is free")
