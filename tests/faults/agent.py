"""A program that HAProxy asks for its servers' weights, and what it says."""

from __future__ import annotations

import asyncio
from typing import Self


WORDS = ("up", "50%", "75%", "100%", "ready 60%")
"""What it may say of all servers: none takes a container out of rotation."""


class Agent:
    """Answers every agent check with one word (configuration manual 5.2, ``agent-check``)."""

    def __init__(self, port: int) -> None:
        self.word = WORDS[0]
        self._port = port
        self._server: asyncio.Server | None = None

    @property
    def words(self) -> str:
        """What a server's line says to have it asked, with a weight that has a half."""
        return f"weight 100 agent-check agent-addr 127.0.0.1 agent-port {self._port} agent-inter 200ms"

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        """End."""
        if self._server is not None:
            self._server.close()

    async def _serve(
        self, _: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(f"{self.word}\n".encode())
        writer.close()
