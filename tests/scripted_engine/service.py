"""A tiny web server that plays the inside of a scripted container.

``python -m tests.scripted_engine.service --host 127.10.0.1 --port 8000 --name web-1``

``/`` answers at once with its name, ``/slow?ms=N`` after N milliseconds. On SIGTERM it
accepts for 0.3 s more, because its balancer hears of the stop at the same time and not
before; then it finishes what it is at, and ends with 0.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import signal


GRACE_SECONDS = 0.3
"""How long it accepts after SIGTERM; HAProxy was told within milliseconds."""

LONGEST_WAIT_MS = 30_000
FINISH_SECONDS = 10.0
"""How long requests may take to end after that: Docker's own default stop time-out."""

_SLOW = re.compile(rb"^GET /slow\?ms=(\d{1,5}) ")


class Service:
    """Counts what is in flight, so that a stop can wait for it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_stopping = False

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer the requests of one connection until one side has enough."""
        # Idle connections are cancelled when the program ends: nothing to report.
        with contextlib.suppress(
            asyncio.CancelledError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
            ConnectionError,
        ):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self._in_flight += 1
                self._idle.clear()
                try:
                    await self._answer(head, writer)
                finally:
                    self._in_flight -= 1
                    if not self._in_flight:
                        self._idle.set()
                if self._is_stopping or b"connection: close" in head.lower():
                    break
        writer.close()

    async def _answer(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        slow = _SLOW.match(head)
        if slow:
            await asyncio.sleep(min(int(slow[1]), LONGEST_WAIT_MS) / 1000)
        body = f"{self._name}\n"
        # Nobody should send another request on a connection that is about to go.
        close = "Connection: close\r\n" if self._is_stopping else ""
        answer = (
            f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{close}"
            f"X-Served-By: {self._name}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )
        writer.write(answer.encode())
        await writer.drain()

    async def stop(self, server: asyncio.Server) -> None:
        """Accept a little longer, then finish what is in flight."""
        self._is_stopping = True
        await asyncio.sleep(GRACE_SECONDS)
        server.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINISH_SECONDS):
                await self._idle.wait()


async def main(host: str, port: int, name: str) -> None:
    """Serve until SIGTERM or SIGINT."""
    service, stop = Service(name), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await asyncio.start_server(service.serve, host, port, backlog=512)
    print(f"{name} serves on {host}:{port}", flush=True)  # noqa: T201 - the pool reads it
    await stop.wait()
    await service.stop(server)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--name", required=True)
    asyncio.run(main(**vars(parser.parse_args())))
