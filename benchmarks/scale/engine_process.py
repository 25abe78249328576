"""The scripted engine as a program of its own: orders by standard input, one a line, as JSON.

It answers each with one line. What it serves and counts belongs to no process that is
measured; its own processor time is told, because two processors have to do for all.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any, cast


sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.scripted_engine import ScriptedEngine
from tests.scripted_engine.model import ScriptedContainer
from turnover import Turnover


PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
NUMBER = "com.docker.compose.container-number"


class CountingWriter:
    """A stream writer that counts what goes out."""

    def __init__(self, writer: asyncio.StreamWriter, engine: CountingEngine) -> None:
        self._writer = writer
        self._engine = engine

    def write(self, data: bytes) -> None:
        """Write, and count."""
        self._engine.bytes_out += len(data)
        if self._engine.kept is None:
            self._writer.write(data)
        else:
            self._engine.kept.setdefault(self._writer, []).append(data)

    def writelines(self, lines: list[bytes]) -> None:
        """Write, and count."""
        self.write(b"".join(lines))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - it is the writer's
        return getattr(self._writer, name)


class CountingEngine(ScriptedEngine):
    """A scripted engine that knows how many bytes it has sent."""

    bytes_out = 0
    kept: dict[asyncio.StreamWriter, list[bytes]] | None = None
    """What is kept back for the moment, to be sent in one go; None: nothing is."""

    def send_kept(self) -> None:
        """Send what was kept back, in one write for each connection."""
        kept, self.kept = self.kept or {}, None
        for writer, parts in kept.items():
            writer.write(b"".join(parts))

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await super()._serve(reader, cast("Any", CountingWriter(writer, self)))


class Orders:
    """What can be asked for."""

    def __init__(self, engine: CountingEngine) -> None:
        self._engine = engine
        self._made = 0
        self._alive: list[ScriptedContainer] = []

    async def run(self, count: int, services: list[str]) -> dict[str, Any]:
        """Run so many more containers, spread over services, all events in one write.

        ``began_ns`` is when that began, ``made_ns`` when the first event was made: its own
        stamp, and what the daemon's ``latency_ms`` counts from.
        """
        made = time.time_ns()
        self._engine.kept = {}
        for number in range(count):
            self._alive.append(self._one(services[number % len(services)]))
        began = time.time_ns()
        self._engine.send_kept()
        return {"made_ns": made, "began_ns": began, "ended_ns": time.time_ns()}

    def _one(self, service: str, address: str | None = None) -> ScriptedContainer:
        self._made += 1
        labels = {PROJECT: "bench", SERVICE: service, NUMBER: "1"}
        name = f"bench-{self._made}"
        if address is None:
            return self._engine.run(name, labels=labels)
        return self._engine.run(name, labels=labels, address=address)

    async def stop_oldest(self) -> dict[str, Any]:
        """Stop and remove the container that has run longest."""
        one = self._alive.pop(0)
        self._engine.stop(one)
        self._engine.remove(one)
        return {"name": one.name}

    async def stop_all(self) -> dict[str, Any]:
        """Stop and remove everybody, all events in one write."""
        self._engine.kept = {}
        for one in self._alive:
            self._engine.stop(one)
            self._engine.remove(one)
        began = time.time_ns()
        self._engine.send_kept()
        self._alive.clear()
        self._engine.events.forget()
        return {"began_ns": began}

    async def signal_oldest(self) -> dict[str, Any]:
        """Send the container that has run longest its stop signal: the kill event alone."""
        return {"name": self._engine.signal(self._alive[0]).name}

    async def end_oldest(self) -> dict[str, Any]:
        """Let the container that has run longest end, and remove it."""
        one = self._alive.pop(0)
        self._engine.die(one)
        self._engine.stopped(one)
        self._engine.remove(one)
        return {"name": one.name}

    async def begin_turnover(
        self, events: int, rate: float, grace: list[float], service: str, spare: int
    ) -> dict[str, Any]:
        """Let containers come and go from now on, beside whatever else is ordered.

        Their addresses are those of who runs now, and ``spare`` more.
        """
        addresses = [self._engine.next_address() for _ in range(spare)]
        self._turnover = Turnover(
            self._engine,
            self._alive,
            lambda address: self._one(service, address),
            addresses,
        )
        self._turning = asyncio.create_task(self._turnover.run(events, rate, grace))
        return {}

    async def progress(self) -> dict[str, Any]:
        """Return how far the turnover is. Raises what ended it."""
        if self._turning.done():
            self._turning.result()
        told: dict[str, Any] = self._turnover.progress()
        return told

    async def ids(self) -> dict[str, Any]:
        """Return the ids of everybody that runs."""
        return {"ids": [one.id for one in self._alive]}

    async def next_address(self) -> dict[str, Any]:
        """Return an address that nobody has been given."""
        return {"address": self._engine.next_address()}

    async def run_beside(
        self, name: str, address: str, labels: dict[str, str]
    ) -> dict[str, Any]:
        """Run a container that is none of those that count, nor among those that are alive."""
        began = time.time_ns()
        self._engine.run(name, labels=labels, address=address)
        return {"began_ns": began}

    async def end_beside(self, name: str) -> dict[str, Any]:
        """Let one of these end, and remove it."""
        self._engine.die(name)
        self._engine.remove(name)
        return {}

    async def stop_one(self) -> dict[str, Any]:
        """Let the container that has run longest end; it stays, to be started again."""
        self._engine.stop(self._alive[0])
        return {"name": self._alive[0].name}

    async def start_one(self) -> dict[str, Any]:
        """Start again who was stopped last; it has run shortest from now on."""
        one = self._alive.pop(0)
        self._engine.begin(one)
        self._alive.append(one)
        return {"name": one.name}

    async def alive(self) -> dict[str, Any]:
        """Return the addresses of everybody that runs."""
        return {"addresses": [one.address for one in self._alive]}

    async def stats(self) -> dict[str, Any]:
        """Return what it has done so far."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "bytes_out": self._engine.bytes_out,
            "lists": self._engine.requests.lists,
            "inspects": self._engine.requests.inspects,
            "cpu_seconds": used.ru_utime + used.ru_stime,
            "open_files": _open_files(),
        }


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def main(path: str) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), os.fdopen(0, "rb", buffering=0)
    )
    async with CountingEngine(path) as engine:
        # "Up 9 days" is true for longer than "Up 9 seconds": an answer is made once.
        engine.jump_clock(0)
        orders = Orders(engine)
        print(json.dumps({"serving": path}), flush=True)
        while line := await lines.readline():
            order, arguments = json.loads(line)
            print(json.dumps(await getattr(orders, order)(**arguments)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
