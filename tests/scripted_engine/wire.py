"""As much HTTP/1.1 as Docker's clients speak over a unix socket."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


COMMON_HEAD = (
    "Api-Version: 1.41\r\n"
    "Docker-Experimental: false\r\n"
    "Ostype: linux\r\n"
    "Server: Docker/20.10.24-scripted (linux)\r\n"
)
LAST_CHUNK = b"0\r\n\r\n"

_VERSION_PREFIX = re.compile(r"^/v\d+\.\d+(?=/)")
_CONTAINER_PATH = re.compile(r"^/containers/(?P<ref>.+)/json$")
_NETWORK_PATH = re.compile(r"^/networks/(?P<ref>.+)$")


@dataclass(frozen=True, slots=True)
class Request:
    """One request; ``path`` has no version prefix, ``body_bytes`` follow its head."""

    method: str
    path: str
    query: Mapping[str, str]
    body_bytes: int = 0

    @property
    def container_ref(self) -> str | None:
        """The container of an inspect request, None for every other request."""
        match = _CONTAINER_PATH.match(self.path)
        return match["ref"] if match else None

    @property
    def network_ref(self) -> str | None:
        """The network of a request for one, None for every other request."""
        match = _NETWORK_PATH.match(self.path)
        return match["ref"] if match else None

    @property
    def route(self) -> str:
        """The path with a container's or network's id replaced by ``{id}``: the key of the
        counters.
        """
        if self.network_ref:
            return "/networks/{id}"
        return "/containers/{id}/json" if self.container_ref else self.path


def parse_head(head: bytes) -> Request:
    """Read the head of a request. Raises ValueError for what is not HTTP."""
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    parts = urlsplit(target)
    lengths = [
        int(line.partition(":")[2])
        for line in lines
        if line.lower().startswith("content-length:")
    ]
    return Request(
        method=method,
        path=_VERSION_PREFIX.sub("", unquote(parts.path)),
        query=dict(parse_qsl(parts.query)),
        body_bytes=sum(lengths),
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: status and body."""

    status: int
    body: bytes
    content_type: str = "application/json"

    @classmethod
    def json(cls, shown: Any, status: int = 200) -> Answer:  # noqa: ANN401 - any JSON
        """Answer with this value."""
        return cls(status, json.dumps(shown, separators=(",", ":")).encode() + b"\n")

    @classmethod
    def error(cls, status: int, message: str) -> Answer:
        """Answer as the engine does when it refuses."""
        return cls.json({"message": message}, status)

    def encode(self) -> tuple[bytes, bytes]:
        """Return head and body."""
        head = (
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\n{COMMON_HEAD}"
            f"Content-Type: {self.content_type}\r\n"
            f"Content-Length: {len(self.body)}\r\n\r\n"
        )
        return head.encode("latin-1"), self.body


def stream_head() -> bytes:
    """Return the head of an answer that comes in chunks."""
    head = (
        f"HTTP/1.1 200 OK\r\n{COMMON_HEAD}"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    return head.encode("latin-1")


def chunk(payload: bytes) -> bytes:
    """Frame one chunk."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


class RequestLog:
    """What was asked of the engine.

    ``routes`` counts by route (``/containers/json``, ``/containers/{id}/json``, …);
    ``refused`` has every request that was not a GET, and was answered 403.
    """

    def __init__(self) -> None:
        self.routes: Counter[str] = Counter()
        self.refused: list[str] = []
        self._added = asyncio.Event()

    def add(self, request: Request) -> None:
        """Count one request."""
        self.routes[request.route] += 1
        self._added.set()
        self._added = asyncio.Event()

    async def seen(self, route: str, count: int = 1) -> None:
        """Return once ``count`` requests of that route have come."""
        while self.routes[route] < count:
            await self._added.wait()

    def refuse(self, request: Request) -> None:
        """Remember one request that would have changed something."""
        self.refused.append(f"{request.method} {request.path}")

    @property
    def lists(self) -> int:
        """How many container lists were asked for."""
        return self.routes["/containers/json"]

    @property
    def inspects(self) -> int:
        """How many containers were inspected."""
        return self.routes["/containers/{id}/json"]

    def reset(self) -> None:
        """Count anew."""
        self.routes.clear()
        self.refused.clear()
