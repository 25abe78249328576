"""Runs inside a container: a server that goes on for a while after it was told to stop.

It repeats every line of a connection, and answers an HTTP request like one; after SIGTERM
or SIGUSR1 it serves for ``STOP_SECONDS`` more, and ends. SIGUSR2 makes it eat all memory.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket


STOP_SECONDS = float(os.environ.get("STOP_SECONDS", "0.7"))
PORT = int(os.environ.get("PORT", "8000"))
HOSTNAME = socket.gethostname()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Greet where somebody waits for it, and repeat each line until the client ends."""
    try:
        if PORT != 8000:
            writer.write(f"hello from {HOSTNAME}\n".encode())
        while line := await reader.readline():
            if not line.startswith(b"GET "):
                writer.write(line)
                continue
            await reader.readuntil(b"\r\n\r\n")
            body = f"{HOSTNAME}\n".encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
            writer.write(body)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass  # the client went away
    finally:
        writer.close()


def eat() -> None:
    """Take memory until somebody minds."""
    eaten = []
    while True:
        eaten.append(b"x" * (1 << 20))


async def main() -> None:
    """Serve until some time after a stop signal."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGUSR1):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGUSR2, eat)
    await asyncio.start_server(serve, port=PORT)
    print(f"{HOSTNAME} serves on port {PORT}", flush=True)  # noqa: T201 - singles.py reads it
    await stop.wait()
    await asyncio.sleep(STOP_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
