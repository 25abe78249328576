"""Tasks, services and views of a swarm for tests: every field has a plain default."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.core.membership import SERVICE_ID, SERVICE_NAME, TASK_ID
from reconciler.core.model import Attachment, Container
from reconciler.core.swarm import Node, Phase, Service, SwarmView, Task


HERE, THERE = "node-here", "node-there"
"""The node whose engine is asked, and another."""


def task(
    number: int = 1,
    *,
    phase: Phase = Phase.RUNNING,
    is_wanted: bool = True,
    node: str = THERE,
    service: str = "web",
    container_id: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> Task:
    """Return a task; by default one that runs on another node."""
    return Task(
        id=f"task-{number}",
        service_id=f"id-of-{service}",
        node_id=node,
        container_id=f"c{number}" if container_id is None else container_id,
        is_wanted=is_wanted,
        phase=phase,
        number=str(number),
        networks=(Attachment(network="front", ipv4=f"10.0.1.{number}"),),
        labels=labels or {},
        created=float(number),
    )


def service(name: str = "web", **labels: str) -> Service:
    """Return a service; labels are given with underscores for dots."""
    return Service(
        id=f"id-of-{name}",
        name=name,
        labels={key.replace("_", "."): value for key, value in labels.items()},
        tcp_ports=(8000,),
    )


def view(
    tasks: Iterable[Task] = (),
    *,
    services: Iterable[Service] | None = None,
    down: Iterable[str] = (),
) -> SwarmView:
    """Return a swarm of two nodes and a service ``web``."""
    lost = set(down)
    return SwarmView(
        own_node=HERE,
        services={
            one.id: one for one in ([service()] if services is None else services)
        },
        nodes={
            one: Node(id=one, name=one, is_down=one in lost) for one in (HERE, THERE)
        },
        tasks={one.id: one for one in tasks},
    )


def local(
    number: int = 1,
    *,
    is_running: bool = True,
    is_stopping: bool = False,
    service: str = "web",
) -> Container:
    """Return the container of a task as this node's engine tells of it."""
    return Container(
        id=f"c{number}",
        name=f"{service}.{number}.task-{number}",
        labels={
            SERVICE_ID: f"id-of-{service}",
            SERVICE_NAME: service,
            TASK_ID: f"task-{number}",
        },
        is_running=is_running,
        is_stopping=is_stopping,
        networks=(
            Attachment(network="front", ipv4=f"10.0.1.{number}"),
            Attachment(network="ingress", ipv4=f"10.0.0.{number}"),
        ),
        tcp_ports=(8000, 9999),
        created=100.0,
    )
