"""``/api/slots``: the slot map as the daemon has it, with HAProxy's statistics.

Ten thousand rows take a fifth of a second to make and to write. They are made in parts, and
the loop turns between two of them, so that no pass waits for somebody who looks.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import asdict

from aiohttp import web

from reconciler.controller import Controller
from reconciler.core.model import Server, ServerRef
from reconciler.core.plan import slots_of
from reconciler.core.view import Reading, SlotRow, row_of, unplaced_row
from reconciler.web.statistics import Statistics


WAIT_SECONDS = 0.5
"""How long HAProxy's statistics are waited for. A HAProxy that does not answer in time has
its slots shown without."""

PART = 200
"""How many rows are made at once: 4 ms on a slow machine."""

_Slots = tuple[str, list[Server], Mapping[ServerRef, Reading]]


def slots_route(controller: Controller, statistics: Statistics) -> web.RouteDef:
    """Return the route."""

    async def slots(_: web.Request) -> web.Response:
        return web.json_response(text=await map_text(controller, statistics))

    return web.get("/api/slots", slots)


async def map_text(controller: Controller, statistics: Statistics) -> str:
    """Return the slot map as JSON; all of it is of one moment."""
    return "".join([part async for part in _written(controller, statistics)])


async def _written(
    controller: Controller, statistics: Statistics
) -> AsyncIterator[str]:
    readings = await statistics.recent(within_seconds=WAIT_SECONDS)
    unplaced = [
        unplaced_row(worker.name, one)
        for worker in controller.workers
        for one in worker.all_unplaced()
    ]
    # Copied before anything is awaited: passes go on.
    found: list[_Slots] = [
        (worker.name, slots_of(servers.values(), worker.slot_prefix), read)
        for worker in controller.workers
        for read in [readings.get(worker.name, {})]
        for servers in worker.tables.values()
    ]
    now = asyncio.get_running_loop().time()
    yield '{"slots": ['
    comma = ""
    for rows in _rows(controller, found, now):
        yield comma + json.dumps([asdict(row) for row in rows])[1:-1]
        comma = ", "
        await asyncio.sleep(0)
    yield f'], "unplaced": {json.dumps(unplaced)}}}'


def _rows(
    controller: Controller, found: list[_Slots], now: float
) -> Iterator[list[SlotRow]]:
    for haproxy, servers, readings in found:
        for start in range(0, len(servers), PART):
            yield [
                row_of(
                    haproxy,
                    server,
                    controller.claims.tenant_of(server),
                    readings.get(server.ref),
                    now=now,
                )
                for server in servers[start : start + PART]
            ]
