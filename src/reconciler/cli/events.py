"""``events``: follow what happens to the map, live from the daemon."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import click

from reconciler.cli.exits import fail
from reconciler.cli.options import AS_JSON, with_settings
from reconciler.config import Settings


@click.command()
@AS_JSON
@with_settings
def events(settings: Settings, as_json: bool) -> None:  # noqa: FBT001 - click calls by name
    """Follow what happens to the map, with the reason for each change.

    This asks the daemon at --listen, so it has to be running.
    """
    asyncio.run(_follow(settings, as_json=as_json))


async def _follow(settings: Settings, *, as_json: bool) -> None:
    async for entry in _entries(settings):
        click.echo(json.dumps(entry) if as_json else str(entry))


async def _entries(settings: Settings) -> AsyncIterator[dict[str, Any]]:
    if settings.listen is None:
        fail("the daemon listens nowhere (--listen off): there is nobody to ask")
    host, port = settings.listen
    url = f"http://{host}:{port}"
    try:
        async with (
            aiohttp.ClientSession(url) as client,
            client.get(
                "/api/events",
                headers={"Accept": "text/event-stream"},
                timeout=aiohttp.ClientTimeout(total=None),
            ) as answer,
        ):
            async for line in answer.content:
                if line.startswith(b"data: "):
                    yield json.loads(line.removeprefix(b"data: "))
    except aiohttp.ClientConnectionError:
        fail(
            f"no daemon answers at {url}: start `reconciler run`, or say by --listen "
            "where it listens"
        )
