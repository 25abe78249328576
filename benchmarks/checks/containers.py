"""The same newcomers as containers of a real engine: their applications tell when they listened."""

from __future__ import annotations

import asyncio
import random
import uuid

from rig import (
    APART_SECONDS,
    CALLED_UP,
    WAIT_SECONDS,
    running_daemon,
    running_haproxy,
    until_up,
    visited,
)
from scale.rig import RigError
from tests.support.engine import Engine, shared_engine


PROJECT = "reconciler-checks"
LOOK_SECONDS = 0.05

APP = """
import http.server, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    first = True

    def do_GET(self):
        now = time.monotonic()
        if Handler.first:
            Handler.first = False
            print("asked", now, flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words):
        pass

server = http.server.ThreadingHTTPServer(("", 8000), Handler)
print("listens", time.monotonic(), flush=True)
server.serve_forever()
"""
"""All processes of a machine have one monotonic clock, also those in containers."""


async def first_answers(version: str, count: int) -> tuple[list[float], int]:
    """Start so many, one after the other; return what each waited, and how many GETs failed.

    In milliseconds, from when a container's application listens to its first request.
    """
    engine = await asyncio.to_thread(shared_engine)
    more = ("--project", PROJECT)
    found = []
    async with (
        running_haproxy(version, CALLED_UP) as (haproxy, folder),
        running_daemon(haproxy, folder, CALLED_UP, *more, docker=engine.host),
    ):
        names = [f"{PROJECT}-{uuid.uuid4().hex[:8]}" for _ in range(count + 1)]
        try:
            await asyncio.to_thread(_run, engine, names[0])
            await until_up(haproxy, 1)
            async with visited(haproxy) as visitor:
                for name in names[1:]:
                    await asyncio.sleep(random.uniform(0, APART_SECONDS))
                    await asyncio.to_thread(_run, engine, name)
                    found.append(await _waited(engine, name))
                    await asyncio.to_thread(engine.docker, "rm", "--force", name)
                    await until_up(haproxy, 1)
        finally:
            left = f"label=com.docker.compose.project={PROJECT}"
            listed = engine.docker("ps", "--all", "--quiet", "--filter", left).split()
            if listed:
                engine.docker("rm", "--force", *listed)
    return found, visitor.failed


def _run(engine: Engine, name: str) -> None:
    labels = {"project": PROJECT, "service": "web", "container-number": "1"}
    options = [f"--label=com.docker.compose.{key}={v}" for key, v in labels.items()]
    image = engine.environment["WEB_IMAGE"]
    engine.docker(
        *("run", "--detach", "--stop-timeout", "1", "--name", name, *options),
        *("--entrypoint", "python3", image, "-u", "-c", APP),
    )


async def _waited(engine: Engine, name: str) -> float:
    """Return how long a container waited for its first request, in milliseconds."""
    told: dict[str, float] = {}
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while told.keys() != {"listens", "asked"}:
                await asyncio.sleep(LOOK_SECONDS)
                text = await asyncio.to_thread(engine.docker, "logs", name)
                told = {
                    word: float(at) for word, at in map(str.split, text.splitlines())
                }
    except TimeoutError as error:
        raise RigError(f"{name} was never asked; it said {told}") from error
    return 1000 * (told["asked"] - told["listens"])
