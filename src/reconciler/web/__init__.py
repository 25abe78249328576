"""What is served on ``--listen``: metrics, health, the slot map and what happened to it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from reconciler.controller import Controller
from reconciler.errors import ConfigError
from reconciler.journal import Journal
from reconciler.metrics import Metrics
from reconciler.web.assets import inline_script_sources, page_routes, read_assets
from reconciler.web.events import events_route
from reconciler.web.guard import headers_adder, names_guard
from reconciler.web.health import readiness
from reconciler.web.live import Live
from reconciler.web.slots import slots_route
from reconciler.web.statistics import Statistics
from reconciler.web.stream import Streams


__all__ = ["application", "readiness", "serve"]

_UNAVAILABLE = 503


def application(
    controller: Controller,
    metrics: Metrics,
    journal: Journal,
    *,
    statistics: Statistics | None = None,
    allowed_hosts: Collection[str] = (),
) -> web.Application:
    """Return the HTTP application. Every route is GET, and none changes anything.

    ``statistics`` None shows the map without sessions, requests and checks.
    ``allowed_hosts`` are names it answers to beside those that are always ours.
    """
    streams, statistics = Streams(), statistics or Statistics()
    metrics.watch_readers(streams=lambda: len(streams), entries=lambda: journal.last_id)

    async def exposition(_: web.Request) -> web.Response:
        text = await asyncio.to_thread(metrics.scrape().text)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        is_ready, detail = readiness(controller)
        return web.json_response(detail, status=200 if is_ready else _UNAVAILABLE)

    async def close(_: web.Application) -> None:
        await streams.aclose()
        await statistics.aclose()

    app = web.Application(middlewares=[names_guard(allowed_hosts)])
    assets = read_assets()
    app.on_response_prepare.append(headers_adder(inline_script_sources(assets)))
    app.add_routes(page_routes(assets))
    app.router.add_get("/metrics", exposition)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.add_routes(
        [
            slots_route(controller, statistics),
            Live(controller, journal, statistics).route(streams),
            events_route(journal, streams),
        ]
    )
    app.on_shutdown.append(close)
    return app


async def serve(app: web.Application, host: str, port: int) -> web.AppRunner:
    """Start serving; return what to clean up. Raises ConfigError: the port is taken."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another address "
            "by --listen HOST:PORT, or none by --listen off"
        ) from error
    return runner
