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
from typing import Any


sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.scripted_engine import ScriptedEngine
from turnover import Turnover


PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"


class CountingWriter:
    """A stream writer that counts what goes out."""

    def __init__(self, writer: asyncio.StreamWriter, engine: CountingEngine) -> None:
        self._writer = writer
        self._engine = engine

    def write(self, data: bytes) -> None:
        """Write, and count."""
        self._engine.bytes_out += len(data)
        self._writer.write(data)

    def writelines(self, lines: list[bytes]) -> None:
        """Write, and count."""
        self.write(b"".join(lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)


class CountingEngine(ScriptedEngine):
    """A scripted engine that knows how many bytes it has sent."""

    bytes_out = 0

    async def _serve(self, reader, writer) -> None:
        await super()._serve(reader, CountingWriter(writer, self))


class Orders:
    """What can be asked for."""

    def __init__(self, engine: CountingEngine) -> None:
        self._engine = engine
        self._made = 0
        self._alive: list[Any] = []

    async def run(self, count: int, services: list[str]) -> dict[str, Any]:
        """Run so many more containers, spread over services, all events in one go."""
        began = time.time_ns()
        for number in range(count):
            self._alive.append(self._one(services[number % len(services)]))
        return {"began_ns": began, "ended_ns": time.time_ns()}

    def _one(self, service: str, address: str | None = None) -> Any:
        self._made += 1
        labels = {PROJECT: "bench", SERVICE: service}
        more = {} if address is None else {"address": address}
        return self._engine.run(f"bench-{self._made}", labels=labels, **more)

    async def stop_oldest(self) -> dict[str, Any]:
        """Stop and remove the container that has run longest."""
        one = self._alive.pop(0)
        self._engine.stop(one)
        self._engine.remove(one)
        return {"name": one.name}

    async def stop_all(self) -> dict[str, Any]:
        """Stop and remove everybody."""
        for one in self._alive:
            self._engine.stop(one)
            self._engine.remove(one)
        self._alive.clear()
        self._engine.events.forget()
        return {}

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
        return self._turnover.progress()

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
        }


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
