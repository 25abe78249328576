"""A Swarm's tasks as containers: what a manager says of them, joined with what a node says.

A task is a container somewhere in the swarm. Its service's labels count as the container's own,
its service's published ports as the ports it exposes. On the node whose engine is asked the
engine itself is quicker and knows more (health, signals, the end), so there it has the last
word. Pure.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from reconciler.core.membership import SERVICE_NAME, TASK_ID
from reconciler.core.model import Attachment, Container


INGRESS = "ingress"
"""The routing mesh's network, by its usual name. Nobody dials a task there."""


class Phase(enum.Enum):
    """Where in its life a task is; no phase comes back (SwarmKit, task states)."""

    COMING = "coming"
    """From new to starting."""
    RUNNING = "running"
    """With a HEALTHCHECK that is: it has passed."""
    ENDED = "ended"
    """Complete, shutdown, failed, rejected or orphaned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task (Docker API, ``TaskList``). ``networks`` are without the routing mesh's."""

    id: str
    service_id: str
    node_id: str
    container_id: str
    """Empty until its node has made the container."""
    is_wanted: bool
    """Whether its desired state is *running*. Else it is about to end, or not to begin."""
    phase: Phase
    number: str
    """Its slot in a replicated service, its node's id in a global one."""
    networks: tuple[Attachment, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    """Those of the container."""
    created: float = 0.0
    """Unix seconds."""

    @property
    def key(self) -> str:
        """What it is known by: its container's id, once there is one."""
        return self.container_id or self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service (Docker API, ``ServiceList``)."""

    id: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    tcp_ports: tuple[int, ...] = ()
    """The ports of its tasks that it publishes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node (Docker API, ``NodeList``)."""

    id: str
    name: str
    is_down: bool = False
    """The managers heard nothing of it for a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmView:
    """A swarm at one moment: each part by id."""

    own_node: str = ""
    """The node whose engine is asked."""
    services: Mapping[str, Service] = field(default_factory=dict)
    nodes: Mapping[str, Node] = field(default_factory=dict)
    tasks: Mapping[str, Task] = field(default_factory=dict)


def container_of(
    task: Task, service: Service, *, node: Node | None, local: Container | None
) -> Container | None:
    """Return the container of a task, None where it does not run.

    ``local`` is what the task's own engine says of the container, where that engine is asked.
    A task that is to end keeps its slot, but gets nothing new. One whose node is down is out
    at once: nobody can say any more whether it runs.
    """
    is_down = node is not None and node.is_down
    runs = task.phase is Phase.RUNNING or (
        task.phase is Phase.COMING and local is not None and local.is_running
    )
    if is_down or not runs:
        return None
    found = Container(
        id=task.key,
        name=f"{service.name}.{task.number}.{task.id}",
        labels={
            **task.labels,
            **service.labels,
            SERVICE_NAME: service.name,
            TASK_ID: task.id,
        },
        is_running=True,
        is_stopping=not task.is_wanted,
        networks=task.networks,
        tcp_ports=service.tcp_ports,
        created=task.created,
    )
    return found if local is None else as_local(found, local)


def as_local(found: Container, local: Container) -> Container:
    """Return a task's container with the state that its own engine tells."""
    return replace(
        found,
        is_running=local.is_running,
        is_paused=local.is_paused,
        health=local.health,
        is_stopping=found.is_stopping or local.is_stopping,
        stop=local.stop,
        started=local.started,
    )


def with_service(local: Container, service: Service) -> Container:
    """Return a container whose task was not read yet, with what its service tells."""
    return replace(
        local,
        labels={**local.labels, **service.labels, SERVICE_NAME: service.name},
        networks=tuple(one for one in local.networks if one.network != INGRESS),
        tcp_ports=service.tcp_ports,
    )
