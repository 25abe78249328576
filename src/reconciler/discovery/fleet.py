"""Joins what this engine tells of its containers with what a swarm tells of its tasks.

It stands between who reads Docker and who is told. A container of this engine that is no
task passes unchanged. A task is told once its service is known; whatever cannot be read stays
as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from reconciler.core.membership import SERVICE_ID
from reconciler.core.model import Container
from reconciler.core.swarm import (
    Node,
    Phase,
    Service,
    SwarmView,
    Task,
    as_local,
    container_of,
    with_service,
)
from reconciler.discovery.sink import Sink


class Fleet:
    """The containers of this engine and of its swarm. Implements :class:`Sink`."""

    def __init__(
        self, sink: Sink, *, hint: Callable[[], None] = lambda: None, is_swarm: bool
    ) -> None:
        """``hint`` is called when something happened to a task on this node.

        ``is_swarm`` False: nobody will ever tell of a swarm.
        """
        self._sink = sink
        self._hint = hint
        self._local: dict[str, Container] = {}
        self._view = SwarmView()
        self._is_on = False
        self._by_key: dict[str, Task] = {}
        self._left: set[str] = set()
        """Containers that run here, and whose task is gone already."""
        self._shown: dict[str, Container] = {}
        self._engine_error: str | None = "docker was not read yet"
        self._swarm_error = "the swarm was not read yet" if is_swarm else None

    def changed(
        self,
        changes: Mapping[str, Container | None],
        *,
        at: float | None,
        is_resync: bool,
    ) -> None:
        """Containers of this engine changed."""
        is_hint = False
        for key, container in changes.items():
            before = self._local.pop(key, None)
            if container is not None:
                self._local[key] = container
            else:
                self._left.discard(key)
            known = container or before
            is_hint |= known is not None and known.is_task
        self._tell(changes, at=at, is_resync=is_resync)
        if is_hint and self._is_on:
            self._hint()

    def heard(self, action: str) -> None:
        """An event of this engine came."""
        self._sink.heard(action)

    def listed(self) -> None:
        """This engine was read in whole."""
        self._engine_error = None
        if self._swarm_error is None:
            self._sink.listed()

    def engine_lost(self, reason: str) -> None:
        """This engine does not answer."""
        self._engine_error = reason
        self._sink.engine_lost(reason)

    def swarm_lost(self, reason: str) -> None:
        """The swarm cannot be read: every task stays as it was."""
        self._swarm_error = f"swarm: {reason}"
        self._sink.engine_lost(self._swarm_error)

    def swarm_off(self) -> None:
        """This engine is in no swarm that it could tell of."""
        self._note_read()

    def swarm_read(self, view: SwarmView) -> None:
        """The swarm was read; ``view`` is what it is now."""
        before, self._view = self._view, view
        keys = set() if self._is_on else set(self._local)
        self._is_on = True
        keys |= self._take_tasks(before.tasks, view.tasks)
        services = _different(before.services, view.services)
        nodes = _different(before.nodes, view.nodes)
        if before.own_node != view.own_node:
            nodes |= {before.own_node, view.own_node}
        if services or nodes:
            keys |= {
                task.key
                for task in view.tasks.values()
                if task.service_id in services or task.node_id in nodes
            }
            keys |= {
                key
                for key, one in self._local.items()
                if one.labels.get(SERVICE_ID) in services
            }
        self._tell(keys, at=None, is_resync=False)
        self._note_read()

    def _note_read(self) -> None:
        if self._swarm_error is not None:
            self._swarm_error = None
            if self._engine_error is None:
                self._sink.listed()

    def _take_tasks(
        self, before: Mapping[str, Task], now: Mapping[str, Task]
    ) -> set[str]:
        """Index tasks by what they are known by; return where something changed."""
        keys: set[str] = set()
        for task_id in before.keys() - now.keys():
            key = before[task_id].key
            self._by_key.pop(key, None)
            keys.add(key)
            if key in self._local:
                self._left.add(key)
        for task_id, task in now.items():
            known = before.get(task_id)
            if known is task or known == task:
                continue
            if known is not None and known.key != task.key:
                self._by_key.pop(known.key, None)
                keys.add(known.key)
            self._by_key[task.key] = task
            self._left.discard(task.key)
            keys.add(task.key)
        return keys

    def _tell(self, keys: Iterable[str], *, at: float | None, is_resync: bool) -> None:
        changes: dict[str, Container | None] = {}
        for key in keys:
            container = self._joined(key)
            before = self._shown.get(key)
            if container is before or container == before:
                continue
            changes[key] = container
            if container is None:
                del self._shown[key]
            else:
                self._shown[key] = container
        if changes:
            self._sink.changed(changes, at=at, is_resync=is_resync)

    def _joined(self, key: str) -> Container | None:
        task, local = self._by_key.get(key), self._local.get(key)
        if task is None:
            return self._without_task(key, local)
        is_here = task.node_id == self._view.own_node
        service = self._view.services.get(task.service_id)
        if service is None:
            found = None if task.phase is Phase.ENDED else self._shown.get(key)
            if found is not None and local is not None:
                return as_local(found, local)
        else:
            node = self._view.nodes.get(task.node_id)
            found = container_of(task, service, node=node, local=local)
            if found is None and local is not None and local.is_running:
                return self._without_task(key, local)
        if found is not None and is_here and local is None and found.is_running:
            return None  # its own engine knows better
        return found

    def _without_task(self, key: str, local: Container | None) -> Container | None:
        """Return a container of this engine of whose task the swarm tells nothing."""
        if local is None or not self._is_on or not local.is_task:
            return local
        before = self._shown.get(key)
        is_over = key in self._left or key in self._by_key
        service = self._view.services.get(local.labels.get(SERVICE_ID, ""))
        if service is not None:
            found = with_service(local, service)
        elif before is not None:
            found = as_local(before, local)
            is_over = True  # its service was removed
        else:
            return None  # its service is too new to be known: the next reading has it
        return replace(found, is_stopping=True) if is_over else found


D = Mapping[str, Service] | Mapping[str, Node]


def _different(before: D, now: D) -> set[str]:
    """Return the ids of what is not as it was."""
    return {
        key for key in before.keys() | now.keys() if before.get(key) != now.get(key)
    }


def joined(containers: Iterable[Container], view: SwarmView) -> list[Container]:
    """Return the containers of this engine and of its swarm, as of one moment."""
    found: dict[str, Container] = {}
    told = _Once(found)
    fleet = Fleet(told, is_swarm=True)
    local: dict[str, Container | None] = {one.id: one for one in containers}
    fleet.swarm_read(view)
    fleet.changed(local, at=None, is_resync=False)
    return list(found.values())


class _Once:
    """Takes what a :class:`Fleet` tells. Implements :class:`Sink`."""

    def __init__(self, found: dict[str, Container]) -> None:
        self._found = found

    def changed(
        self,
        changes: Mapping[str, Container | None],
        *,
        at: float | None,  # noqa: ARG002
        is_resync: bool,  # noqa: ARG002
    ) -> None:
        """See :class:`Sink`."""
        for key, container in changes.items():
            if container is None:
                self._found.pop(key, None)
            else:
                self._found[key] = container

    def heard(self, action: str) -> None:
        """See :class:`Sink`."""

    def listed(self) -> None:
        """See :class:`Sink`."""

    def engine_lost(self, reason: str) -> None:
        """See :class:`Sink`."""
