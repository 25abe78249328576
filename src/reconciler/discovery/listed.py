"""What a list may say of a container that was inspected before. Pure.

Docker's lists tell all that counts here. Other engines' tell less than their inspects do:
Podman's have no health, no exposed ports and, in some releases, no networks. So a list never
overrules an inspect about what it does not carry, or carries empty (docs/decisions/0034).
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.model import Attachment, Container, Health


def listed_over(known: Container, listed: Container) -> Container:
    """Return what a running container is by a list, and by what is known where that is silent.

    It is equal to ``listed`` where that tells all that an inspect had told. Whether a
    container runs, and whether it is paused, every list tells.
    """
    return replace(
        listed,
        name=listed.name or known.name,
        labels=listed.labels or known.labels,
        health=_health(known, listed),
        network_mode=listed.network_mode or known.network_mode,
        networks=_networks(known.networks, listed.networks),
        tcp_ports=_ports(known.tcp_ports, listed.tcp_ports),
        created=listed.created or known.created,
        image=listed.image or known.image,
        answers_to_service=listed.answers_to_service or known.answers_to_service,
        stop=known.stop,
        started=known.started,
    )


def _health(known: Container, listed: Container) -> Health:
    """Return its health; of a paused container nobody tells it."""
    if listed.health is Health.NONE and not listed.is_paused:
        return known.health
    return listed.health


def _networks(
    known: tuple[Attachment, ...], listed: tuple[Attachment, ...]
) -> tuple[Attachment, ...]:
    """Return where it is attached; who is on a network without an address was on it before."""
    if not listed:
        return known
    before = {one.network: one for one in known}
    return tuple(_attachment(before.get(one.network, one), one) for one in listed)


def _attachment(known: Attachment, listed: Attachment) -> Attachment:
    return Attachment(
        network=listed.network,
        ipv4=listed.ipv4 or known.ipv4,
        ipv6=listed.ipv6 or known.ipv6,
    )


def _ports(known: tuple[int, ...], listed: tuple[int, ...]) -> tuple[int, ...]:
    """Return the ports; a list may have none of them, or the published ones alone."""
    return known if set(listed) < set(known) else listed
