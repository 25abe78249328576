"""Debian's Prometheus and promtool (``scripts/prometheus``): rules, and a short real life.

It listens on 127.0.0.1 alone, keeps its data in a temporary folder, and is ended by its own
process handle.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml
from tests.support.ports import free_port
from tests.support.requirements import require


ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
POLL_SECONDS = 0.1
WAIT_SECONDS = 30.0


def tool(name: str) -> Path:
    """Return ``prometheus`` or ``promtool``; skip (fail under CI) where it is missing."""
    folder = Path(os.environ.get("PROMETHEUS_DIR", ROOT / ".cache" / "prometheus"))
    path = folder / name
    require(os.access(path, os.X_OK), f"{name} ({path}): scripts/prometheus")
    return path


def promtool(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run promtool to its end, with ``text`` as its standard input."""
    return subprocess.run(
        [tool("promtool"), *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )


class Prometheus:
    """A real Prometheus that scrapes one address four times a second, with our alerts."""

    def __init__(self, folder: Path, target: str) -> None:
        """``folder`` is for its configuration and data, ``target`` HOST:PORT."""
        self._folder = folder
        self._target = target
        self._port = free_port()
        self._process: Process | None = None
        self._client: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Start it, and return once it answers."""
        config = self._folder / "prometheus.yml"
        config.write_text(yaml.safe_dump(self._config()))
        with (self._folder / "log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                tool("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self._port}",
                stdin=DEVNULL,
                stdout=log,
                stderr=STDOUT,
                env={**os.environ, "GOMAXPROCS": "1"},
            )
        self._client = aiohttp.ClientSession(f"http://127.0.0.1:{self._port}")
        try:
            await self.until(self._answers, "an answer")
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        """End it."""
        if self._client is not None:
            await self._client.close()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    def _config(self) -> dict[str, Any]:
        every = {"scrape_interval": "250ms", "evaluation_interval": "250ms"}
        return {
            "global": {**every, "scrape_timeout": "250ms"},
            "rule_files": [str(ALERTS)],
            "scrape_configs": [
                {
                    "job_name": "reconciler",
                    "scrape_timeout": "250ms",
                    "static_configs": [{"targets": [self._target]}],
                }
            ],
        }

    async def _answers(self) -> bool:
        with contextlib.suppress(aiohttp.ClientConnectionError):
            assert self._client is not None
            async with self._client.get("/-/ready") as answer:
                return answer.status == 200
        return False

    async def get(self, path: str, **query: str) -> Any:  # noqa: ANN401 - it is JSON
        """Ask its HTTP API. Raises AssertionError with its words where it refuses."""
        assert self._client is not None
        async with self._client.get(f"/api/v1/{path}", params=query) as answer:
            body = await answer.json()
        assert body["status"] == "success", (query, body.get("error"))
        return body["data"]

    async def query(self, expression: str) -> list[Any]:
        """Return the series that an expression has now."""
        found: list[Any] = (await self.get("query", query=expression))["result"]
        return found

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        """Return once an awaitable condition is true. Raises AssertionError with its log."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while not await condition():  # noqa: ASYNC110 - it is another process
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as error:
            log = (self._folder / "log").read_text()[-2000:]
            raise AssertionError(f"prometheus: not seen: {what}; {log}") from error
