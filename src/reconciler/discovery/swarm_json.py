"""Docker's JSON of a Swarm in, :class:`Task`, :class:`Service` and :class:`Node` out. Pure.

Sources: Docker Engine API, ``TaskList``, ``ServiceList``, ``NodeList``, ``SystemInfo``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.core.model import Attachment
from reconciler.core.swarm import Node, Phase, Service, Task
from reconciler.discovery.inspect import Json, kept_labels, read_as, unix_seconds
from reconciler.errors import SwarmError


_ENDED = frozenset({"complete", "shutdown", "failed", "rejected", "remove", "orphaned"})

SWARM_EVENT_FILTERS: Mapping[str, list[str]] = {
    "type": ["service", "node"],
}
"""What to subscribe to: there are no events of tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What an engine is in a swarm (``GET /info``)."""

    state: str = "inactive"
    """``inactive``, ``pending``, ``active``, ``error`` or ``locked``."""
    is_manager: bool = False
    """Whether it can be asked about tasks. It may have lost its fellow managers all the same."""
    node_id: str = ""
    error: str = ""


def role_from_info(document: Json) -> Role:
    """Return an engine's role, by ``GET /info``. Raises DiscoveryError."""
    return read_as(_role, document)


def _role(document: Json) -> Role:
    swarm = document.get("Swarm") or {}
    return Role(
        state=str(swarm.get("LocalNodeState") or "inactive"),
        is_manager=swarm.get("ControlAvailable") is True,
        node_id=str(swarm.get("NodeID") or ""),
        error=str(swarm.get("Error") or ""),
    )


def required(role: Role, *, is_wanted: bool) -> None:
    """Raise SwarmError where an engine cannot tell of the swarm that it should tell of.

    An engine in no swarm is none to ask, and a worker tells of its own containers alone:
    both are wrong only where a swarm ``is_wanted``. One that is locked, or on its way in,
    may be a manager: nobody knows yet.
    """
    if role.is_manager:
        return
    if role.state not in {"inactive", "active"}:
        why = f": {role.error}" if role.error else ""
        raise SwarmError(
            f"this engine's part in its swarm is not settled (state {role.state}{why}); "
            "unlock it or wait, or leave the swarm out by --swarm off"
        )
    if is_wanted:
        what = "is a worker" if role.state == "active" else "is in no swarm"
        raise SwarmError(
            f"this engine {what}: only a manager tells of tasks; ask one by --docker, or "
            "leave the swarm out by --swarm off"
        )


def task_from(document: Json, keep: Collection[str] = ()) -> Task:
    """Return the task of one entry of ``GET /tasks``. Raises DiscoveryError.

    ``keep`` are labels that count beside those that always do.
    """
    return read_as(lambda one: _task(one, keep), document)


def _task(document: Json, keep: Collection[str]) -> Task:
    status = document.get("Status") or {}
    container = (document.get("Spec") or {}).get("ContainerSpec") or {}
    node = str(document.get("NodeID") or "")
    return Task(
        id=str(document["ID"]),
        service_id=str(document.get("ServiceID") or ""),
        node_id=node,
        container_id=str(
            (status.get("ContainerStatus") or {}).get("ContainerID") or ""
        ),
        is_wanted=document.get("DesiredState") == "running",
        phase=_phase(str(status.get("State") or "")),
        number=str(document.get("Slot") or node),
        networks=tuple(
            _attachment(one)
            for one in document.get("NetworksAttachments") or ()
            if not _is_ingress(one)
        ),
        labels=kept_labels(container.get("Labels"), keep),
        created=unix_seconds(str(document.get("CreatedAt") or "")[:19]),
    )


def _phase(state: str) -> Phase:
    if state == "running":
        return Phase.RUNNING
    return Phase.ENDED if state in _ENDED else Phase.COMING


def _is_ingress(attachment: Mapping[str, Any]) -> bool:
    return ((attachment.get("Network") or {}).get("Spec") or {}).get("Ingress") is True


def _attachment(document: Mapping[str, Any]) -> Attachment:
    """Return one network of a task; addresses come with the length of their prefix."""
    addresses = [
        str(text).partition("/")[0] for text in document.get("Addresses") or ()
    ]
    return Attachment(
        network=str(((document.get("Network") or {}).get("Spec") or {})["Name"]),
        ipv4=next((one for one in addresses if ":" not in one), ""),
        ipv6=next((one for one in addresses if ":" in one), ""),
    )


def service_from(document: Json, keep: Collection[str] = ()) -> Service:
    """Return the service of one entry of ``GET /services``. Raises DiscoveryError.

    ``keep`` are labels that count beside those that always do.
    """
    return read_as(lambda one: _service(one, keep), document)


def _service(document: Json, keep: Collection[str]) -> Service:
    spec = document["Spec"]
    published = (spec.get("EndpointSpec") or {}).get("Ports") or ()
    ports = {
        int(port["TargetPort"])
        for port in published
        if port.get("Protocol", "tcp") == "tcp"
    }
    return Service(
        id=str(document["ID"]),
        name=str(spec["Name"]),
        labels=kept_labels(spec.get("Labels"), keep),
        tcp_ports=tuple(sorted(ports)),
    )


def node_from(document: Json) -> Node:
    """Return the node of one entry of ``GET /nodes``. Raises DiscoveryError."""
    return read_as(_node, document)


def _node(document: Json) -> Node:
    return Node(
        id=str(document["ID"]),
        name=str((document.get("Description") or {}).get("Hostname") or ""),
        is_down=(document.get("Status") or {}).get("State") == "down",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmEvent:
    """An event of a service or a node: a hint that tasks will change."""

    kind: str
    """``service`` or ``node``."""
    action: str
    """``create``, ``update`` or ``remove``."""


def swarm_event_from(document: Json) -> SwarmEvent | None:
    """Return what an event of ``GET /events`` says of the swarm, None if nothing."""
    kind, action = str(document.get("Type")), str(document.get("Action"))
    return SwarmEvent(kind=kind, action=action) if kind in _KINDS else None


_KINDS = frozenset(SWARM_EVENT_FILTERS["type"])
