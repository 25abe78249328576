"""A visitor that keeps its cookie: whom it comes to, one request at a time."""

from __future__ import annotations

import asyncio


ANSWER_SECONDS = 10.0


class Visitor:
    """Asks a port of 127.0.0.1, each time on a connection of its own, with its cookie."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._cookie = ""

    async def get(self) -> str:
        """Return the first word of the answer: the container's name, or a status."""
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                cookie = f"Cookie: {self._cookie}\r\n" if self._cookie else ""
                head = (
                    f"GET / HTTP/1.1\r\nHost: web\r\n{cookie}Connection: close\r\n\r\n"
                )
                writer.write(head.encode())
                text = (await reader.read()).decode("latin-1")
            finally:
                writer.close()
        fields, _, body = text.partition("\r\n\r\n")
        for line in fields.split("\r\n"):
            name, _, value = line.partition(": ")
            if name.lower() == "set-cookie":
                self._cookie = value.partition(";")[0]
        status = fields.split(" ")[1] if " " in fields else "nothing"
        return body.split()[0] if status == "200" and body else status
