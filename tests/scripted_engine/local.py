"""Scripted containers with something real inside: server processes on loopback addresses.

Each gets its own address of 127.10.0.0/15, as a container has its own on a bridge, so that
a reconciler and a HAProxy that know nothing of this can put it to work.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Self

from tests.scripted_engine.control import SIGKILL, SIGTERM
from tests.scripted_engine.engine import ScriptedEngine
from tests.scripted_engine.model import ScriptedContainer


ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 10.0
"""How long a stop waits before it kills, as ``docker stop`` does."""

START_SECONDS = 20.0


class LocalService:
    """One server process."""

    def __init__(self, process: Process, host: str, port: int) -> None:
        self._process = process
        self.host = host
        self.port = port

    @classmethod
    async def start(cls, name: str, host: str, port: int) -> Self:
        """Start it, and return once it listens. Raises OSError where it does not."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.scripted_engine.service"),
            *("--name", name, "--host", host, "--port", str(port)),
            stdout=PIPE,
            cwd=ROOT,
        )
        service = cls(process, host, port)
        said = b""
        try:
            if process.stdout is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(START_SECONDS):
                        said = await process.stdout.readline()
        except asyncio.CancelledError:
            # Another of the same burst failed: nobody else knows of this process.
            await service.kill()
            raise
        if b" serves on " not in said:
            await service.kill()
            raise OSError(f"{name} does not listen on {host}:{port}")
        return service

    def terminate(self) -> None:
        """Send SIGTERM."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    async def ended(self) -> int:
        """Return its exit code once it ended, 128 + signal where one ended it."""
        code = await self._process.wait()
        return code if code >= 0 else 128 - code

    async def kill(self) -> int:
        """Kill it and return its exit code."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        return await self.ended()


class LocalPool:
    """Containers of a scripted engine, each with a process; ends them all when closed."""

    def __init__(
        self, engine: ScriptedEngine, *, project: str = "demo", port: int = 8000
    ) -> None:
        self._engine = engine
        self._project = project
        self._port = port
        self._services: dict[str, LocalService] = {}

    async def __aenter__(self) -> Self:
        """Nothing runs yet."""
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        """End what still runs."""
        await asyncio.gather(*(each.kill() for each in self._services.values()))
        self._services.clear()

    async def scale(self, service: str, count: int) -> list[ScriptedContainer]:
        """Run exactly ``count`` containers of a service, as ``docker compose --scale``.

        Numbers are given from 1 up and taken away from the top; what goes is stopped and
        removed. Returns those that run, in order of their numbers.
        """
        names = [f"{self._project}-{service}-{each}" for each in range(1, count + 1)]
        prefix = f"{self._project}-{service}-"
        extra = [name for name in self._services if name.startswith(prefix)]
        async with asyncio.TaskGroup() as tasks:
            for name in set(extra) - set(names):
                tasks.create_task(self.stop_and_remove(name))
            for name in names:
                if name not in self._services:
                    tasks.create_task(self.run(name, service))
        return [self._engine.find(name) for name in names]

    async def run(self, name: str, service: str) -> ScriptedContainer:
        """Run one container of a Compose service; its process listens before ``start``."""
        labels = {
            "com.docker.compose.project": self._project,
            "com.docker.compose.service": service,
            "com.docker.compose.container-number": name.rpartition("-")[2],
        }
        network = f"{self._project}_default"
        address = self._engine.next_address()
        started = await LocalService.start(name, address, self._port)
        self._services[name] = started
        return self._engine.run(
            name, labels=labels, ports=[self._port], networks={network: address}
        )

    async def stop(self, name: str) -> int:
        """``docker stop``: the signal and its event at once, the rest when it has ended."""
        service = self._services.pop(name)
        service.terminate()
        self._engine.signal(name, SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                code = await service.ended()
        except TimeoutError:
            self._engine.signal(name, SIGKILL)
            code = await service.kill()
        self._engine.die(name, code)
        self._engine.stopped(name)
        return code

    async def stop_and_remove(self, name: str) -> None:
        """What Compose does with a container too many."""
        await self.stop(name)
        self._engine.remove(name)

    async def crash(self, name: str) -> None:
        """Kill the process from outside: the engine only notices that it died."""
        code = await self._services.pop(name).kill()
        self._engine.die(name, code)
