"""The demo's TCP service: greets with its container's name, then repeats every line.

A connection lives as long as its client wants, so it shows what a drain does to sessions.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket


HOSTNAME = socket.gethostname()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Greet, then repeat each line until the client ends."""
    try:
        writer.write(f"hello from {HOSTNAME}\n".encode())
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
    except (ConnectionError, ValueError):
        pass  # the client went away, or sent a line beyond the stream's limit
    finally:
        writer.close()


async def main() -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    port = int(os.environ.get("PORT", "9000"))
    server = await asyncio.start_server(serve, port=port)
    print(f"{HOSTNAME} serves on port {port}", flush=True)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
