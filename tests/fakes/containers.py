"""Containers and tables for tests: every field has a plain default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.core.model import (
    AdminState,
    Attachment,
    Container,
    Health,
    Observed,
    Process,
    Server,
    ServerRef,
)


WEB = {
    "com.docker.compose.project": "demo",
    "com.docker.compose.service": "web",
    "com.docker.compose.container-number": "1",
}
"""The labels Compose gives a container of service *web* in project *demo*."""


def container(
    number: int = 1,
    *,
    labels: Mapping[str, str] | None = None,
    is_running: bool = True,
    is_paused: bool = False,
    health: Health = Health.NONE,
    network_mode: str = "demo_default",
    networks: Sequence[Attachment] | None = None,
    tcp_ports: tuple[int, ...] = (8000,),
) -> Container:
    """Return container ``web-NUMBER`` at 10.0.0.NUMBER, of service web in project demo.

    ``labels`` come on top of Compose's.
    """
    attached = [Attachment(network="demo_default", ipv4=f"10.0.0.{number}")]
    return Container(
        id=f"{number:064x}",
        name=f"web-{number}",
        labels={**WEB, **(labels or {})},
        is_running=is_running,
        is_paused=is_paused,
        health=health,
        network_mode=network_mode,
        networks=tuple(attached if networks is None else networks),
        tcp_ports=tcp_ports,
        created=float(number),
    )


def by_id(*containers: Container) -> dict[str, Container | None]:
    """Return containers as discovery reports them."""
    return {one.id: one for one in containers}


def free_slot(
    number: int, *, backend: str = "web", has_check: bool = False, prefix: str = "slot"
) -> Server:
    """Return a slot as HAProxy has it at boot: in maint at a placeholder."""
    return Server(
        ref=ServerRef(backend, f"{prefix}{number}"),
        backend_id=1,
        server_id=number,
        address="127.255.255.1",
        port=8000,
        admin=AdminState.MAINT,
        is_up=False,
        weight=1,
        initial_weight=1,
        has_check=has_check,
    )


def static_server(name: str = "sorry", *, backend: str = "web") -> Server:
    """Return a server that is no slot, ready at an address of its own."""
    return Server(
        ref=ServerRef(backend, name),
        backend_id=1,
        server_id=1000,
        address="127.0.0.1",
        port=8406,
        admin=AdminState.READY,
        is_up=True,
        weight=1,
        initial_weight=1,
        has_check=False,
    )


def tables(
    slots: int = 4, *, backends: Sequence[str] = ("web",)
) -> dict[str, dict[str, Server]]:
    """Return backends of free slots, each with one server that is none."""
    return {
        backend: {
            server.ref.server: server
            for server in (
                static_server(backend=backend),
                *(free_slot(n + 1, backend=backend) for n in range(slots)),
            )
        }
        for backend in backends
    }


def process(pid: int = 1, *, version: str = "3.0.11") -> Process:
    """Return a HAProxy worker."""
    return Process(version=version, pid=pid, start_time=1000 + pid, is_stopping=False)


def observed(found: Mapping[str, Mapping[str, Server]]) -> Observed:
    """Return these tables as one reading of a HAProxy 3.0."""
    return Observed(process=process(), backends=found)
