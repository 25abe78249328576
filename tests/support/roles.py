"""Runs inside a container: one of several servers that are not alike.

``GET /primary`` is 200 where ``ROLE`` is primary, else 503; any other request is answered with
the container's name. On port 8765 it is an agent that HAProxy may ask: it says ``AGENT``.
After SIGTERM it goes on for ``STOP_SECONDS``, as one does that ignores the signal, and then
prints how many requests came later than ``LATE_SECONDS`` after it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys


HOSTNAME = socket.gethostname()
IS_PRIMARY = os.environ.get("ROLE", "primary") == "primary"
AGENT = os.environ.get("AGENT", "100%")
STOP_SECONDS = float(os.environ.get("STOP_SECONDS", "0"))
LATE_SECONDS = 0.1

signalled: list[float] = []
arrived: list[float] = []
"""By the loop's clock."""


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request after the other, until the client ends."""
    try:
        while line := await reader.readline():
            arrived.append(asyncio.get_running_loop().time())
            size = 0
            while header := (await reader.readline()).strip().lower():
                if header.startswith(b"content-length:"):
                    size = int(header.partition(b":")[2])
            await reader.readexactly(size)
            is_sick = b" /primary " in line and not IS_PRIMARY
            status = b"503 Not the primary" if is_sick else b"200 OK"
            body = f"{HOSTNAME}\n".encode()
            length = b"Content-Length: %d" % len(body)
            writer.write(b"HTTP/1.1 " + status + b"\r\n" + length + b"\r\n\r\n" + body)
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass  # the client went away
    finally:
        writer.close()


async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer HAProxy's agent check (configuration manual 5.2, ``agent-check``)."""
    writer.write(f"{AGENT}\n".encode())
    writer.close()


async def main() -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def note() -> None:
        signalled.append(loop.time())
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, note)
    await asyncio.start_server(serve, port=8000)
    await asyncio.start_server(tell, port=8765)
    await stop.wait()
    await asyncio.sleep(STOP_SECONDS)
    late = sum(at > signalled[0] + LATE_SECONDS for at in arrived)
    sys.stdout.write(f"{len(arrived)} requests, {late} of them late\n")


if __name__ == "__main__":
    asyncio.run(main())
