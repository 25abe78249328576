"""Who watches: the manager's tasks, every HAProxy's table, and every engine's stop signals.

All of them by one clock, the machine's: engines and HAProxies are processes on it.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

from tests.support.swarm_lab import Node, SwarmLab
from tests.support.swarm_stack import SwarmStack


LOOK_SECONDS = 0.025

PROBE = """
import json, socket, sys, time
ends = time.monotonic() + 600
last = {}
while time.monotonic() < ends:
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(2)
        one.connect("/run/haproxy/admin.sock")
        one.sendall(b"show servers state web\\n")
        text = b"".join(iter(lambda: one.recv(65536), b"")).decode()
    now = time.time()
    seen = {}
    for line in text.splitlines()[2:]:
        row = line.split()
        if len(row) > 7 and row[3].startswith("slot") and not row[4].startswith("127."):
            admin, weight = int(row[6]), int(row[7])
            out = admin & 0x3b or not weight
            seen[row[4]] = "out" if out else "down" if row[5] == "0" else "ready"
    for address in seen.keys() | last.keys():
        state = seen.get(address, "gone")
        if state != last.get(address, "gone"):
            print(json.dumps([now, address, state]), flush=True)
    last = seen
    time.sleep(0.02)
"""


class _Engine(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("engine", timeout=10)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self._path)


class Eyes:
    """Everything that was seen, with the time it was seen first. As a context manager."""

    def __init__(self, lab: SwarmLab, stack: SwarmStack) -> None:
        self._lab = lab
        self._stack = stack
        self._is_over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._processes: list[subprocess.Popen[str]] = []
        self.running: dict[str, float] = {}
        """When a task ran, for the manager; by address."""
        self.unwanted: dict[str, float] = {}
        """When it was to end."""
        self.signalled: dict[str, float] = {}
        """When it was sent its stop signal."""
        self.nodes: list[tuple[float, str, str]] = []
        """When a node had another state."""
        self.tables: dict[str, list[tuple[float, str, str]]] = {}
        """When an address was in another state, by the node of each HAProxy."""
        self._addresses: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Begin."""
        self._in_thread(self._watch_manager)
        for node, container in self._stack.containers("haproxy"):
            command = ["docker", "exec", container, "python3", "-u", "-c", PROBE]
            self.tables[node.hostname] = seen = []
            self._read(
                node, command, lambda line, seen=seen: seen.append(json.loads(line))
            )
        for node in self._lab.nodes:
            command = ["docker", "events", "--format", "{{json .}}"]
            command += ["--filter", "type=container", "--filter", "event=kill"]
            self._read(node, command, self._note_signal)
        return self

    def __exit__(self, *_exc_info: object) -> None:
        """End."""
        self._is_over.set()
        for process in self._processes:
            process.kill()
        for thread in self._threads:
            thread.join(5)

    def _in_thread(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _read(
        self, node: Node, command: list[str], take: Callable[[str], None]
    ) -> None:
        environment = {
            "DOCKER_HOST": node.host,
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        }
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, text=True
        )
        self._processes.append(process)

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                with suppress(ValueError, KeyError):
                    take(line)

        self._in_thread(read)

    def _note_signal(self, line: str) -> None:
        event = json.loads(line)
        address = self._addresses.get(event["Actor"]["ID"])
        if address is not None:
            self.signalled.setdefault(address, event["timeNano"] / 1e9)

    def _watch_manager(self) -> None:
        engine = _Engine(self._lab.manager.host.removeprefix("unix://"))
        states: dict[str, str] = {}
        while not self._is_over.is_set():
            tasks = _asked(engine, "/v1.41/tasks")
            now = time.time()
            for task in tasks:
                self._note_task(task, now)
            for node in _asked(engine, "/v1.41/nodes"):
                name, state = node["Description"]["Hostname"], node["Status"]["State"]
                if states.get(name) != state:
                    states[name] = state
                    self.nodes.append((now, name, state))
            time.sleep(LOOK_SECONDS)

    def _note_task(self, task: dict[str, Any], now: float) -> None:
        for one in task.get("NetworksAttachments") or ():
            if one["Network"]["Spec"]["Name"] == self._stack.network:
                address = one["Addresses"][0].partition("/")[0]
                status = task["Status"]
                container = (status.get("ContainerStatus") or {}).get("ContainerID")
                if container:
                    self._addresses[container] = address
                if status["State"] == "running":
                    self.running.setdefault(address, now)
                    if task["DesiredState"] != "running":
                        self.unwanted.setdefault(address, now)


def _asked(engine: _Engine, path: str) -> list[dict[str, Any]]:
    engine.request("GET", path)
    found: list[dict[str, Any]] = json.loads(engine.getresponse().read())
    return found
