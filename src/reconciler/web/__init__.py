"""What is served on ``--listen``: metrics, health, the slot map and what happened to it."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from reconciler.controller import Controller
from reconciler.core.view import Tenants, slot_map, slot_rows
from reconciler.errors import ConfigError
from reconciler.journal import Journal
from reconciler.metrics import Metrics
from reconciler.web.events import events_route
from reconciler.web.stream import Streams


_UNAVAILABLE = 503


def readiness(controller: Controller) -> tuple[bool, dict[str, Any]]:
    """Return whether every HAProxy is reached and converged, and the details.

    Too few slots do not make us unready (restarting us would mend nothing), but are told.
    """
    workers = controller.workers
    is_ready = controller.is_informed and all(
        worker.is_reached and worker.has_converged for worker in workers
    )
    detail = {
        "ready": is_ready,
        "docker": {
            "read": controller.is_informed,
            "followed": controller.engine_error is None,
            "error": controller.engine_error,
        },
        "haproxy": [
            {
                "haproxy": worker.name,
                "reached": worker.is_reached,
                "converged": worker.has_converged,
                "version": worker.process.version if worker.process else None,
                "pid": worker.process.pid if worker.process else None,
                "unplaced": len(worker.all_unplaced()),
                "generation": worker.generation,
                "error": worker.error,
            }
            for worker in workers
        ],
    }
    return is_ready, detail


def map_of(controller: Controller) -> dict[str, Any]:
    """Return the slot map as the workers know it, without asking HAProxy."""
    rows, unplaced = [], []
    claims = controller.claims
    for worker in controller.workers:
        desired = claims.desired(set(worker.tables))
        tenants = Tenants(claims.containers.values(), desired.all_endpoints())
        rows += slot_rows(
            worker.name,
            worker.tables,
            prefix=worker.slot_prefix,
            tenants=tenants,
            now=asyncio.get_running_loop().time(),
        )
        unplaced += [(worker.name, one) for one in worker.all_unplaced()]
    return slot_map(rows, unplaced)


def application(
    controller: Controller, metrics: Metrics, journal: Journal
) -> web.Application:
    """Return the HTTP application. Every route is GET and reads memory only."""
    streams = Streams()
    metrics.watch_readers(streams=lambda: len(streams), entries=lambda: journal.last_id)

    async def index(_: web.Request) -> web.Response:
        return web.Response(
            text="slot reconciler: /metrics /healthz /readyz /api/slots /api/events\n"
        )

    async def exposition(_: web.Request) -> web.Response:
        text = await asyncio.to_thread(metrics.scrape().text)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        is_ready, detail = readiness(controller)
        return web.json_response(detail, status=200 if is_ready else _UNAVAILABLE)

    async def slots(_: web.Request) -> web.Response:
        return web.json_response(map_of(controller))

    app = web.Application()
    app.router.add_get("/", index)
    app.router.add_get("/metrics", exposition)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/api/slots", slots)
    app.add_routes([events_route(journal, streams)])
    app.on_shutdown.append(lambda _: streams.aclose())
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
