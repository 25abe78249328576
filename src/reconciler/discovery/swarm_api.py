"""What a manager tells of its swarm: services, nodes, and tasks, most of them as last time."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import partial
from urllib.parse import quote

from reconciler.core.swarm import Node, Service, Task
from reconciler.discovery.engine import Engine
from reconciler.discovery.json_elements import SWARM_SEAM, JsonElements
from reconciler.discovery.streams import EventStream
from reconciler.discovery.swarm_json import (
    Role,
    SwarmEvent,
    node_from,
    service_from,
    task_from,
)


MOST_IDS = 100
"""So many tasks are asked for by one request at most."""


class SwarmApi:
    """Asks one engine. Every method raises DockerUnavailableError when it cannot answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._task_from = partial(task_from, keep=engine.keep)
        self._service_from = partial(service_from, keep=engine.keep)
        self._known: Mapping[bytes, Task] = {}

    async def role(self) -> Role:
        """Return what the engine is in a swarm."""
        return await self._engine.role()

    async def events(self) -> EventStream[SwarmEvent]:
        """Subscribe to the events of services and nodes."""
        return await self._engine.swarm_events()

    async def services(self) -> dict[str, Service]:
        """Return all services by id."""
        elements = JsonElements(self._service_from)
        return {
            one.id: one for one in await self._engine.list_of("/services", elements)
        }

    async def nodes(self) -> dict[str, Node]:
        """Return all nodes by id."""
        elements = JsonElements(node_from)
        return {one.id: one for one in await self._engine.list_of("/nodes", elements)}

    async def wanted_tasks(self) -> dict[str, Task]:
        """Return the tasks that shall run, by id.

        A task whose text is as it was the last time is not parsed again: it is the same
        object.
        """
        elements = JsonElements(self._task_from, self._known, seam=SWARM_SEAM)
        filters = quote('{"desired-state":["running"]}')
        found = await self._engine.list_of(f"/tasks?filters={filters}", elements)
        self._known = elements.remembered
        return {one.id: one for one in found}

    async def all_tasks(self) -> dict[str, Task]:
        """Return every task by id, those too of which only the history is left."""
        elements = JsonElements(self._task_from)
        return {one.id: one for one in await self._engine.list_of("/tasks", elements)}

    async def tasks_of(self, ids: Collection[str]) -> dict[str, Task]:
        """Return those of some tasks that there are, by id."""
        found: dict[str, Task] = {}
        some = sorted(ids)
        for start in range(0, len(some), MOST_IDS):
            wanted = {"id": some[start : start + MOST_IDS]}
            filters = quote(json.dumps(wanted, separators=(",", ":")))
            elements = JsonElements(self._task_from)
            tasks = await self._engine.list_of(f"/tasks?filters={filters}", elements)
            found |= {one.id: one for one in tasks}
        return found
