"""Slot maps for the tests of the views."""

from __future__ import annotations

import dataclasses

from reconciler.core.model import Cause, Tenant, Unplaced
from reconciler.core.view import SlotRow


A, B = "unix:///run/a/admin.sock", "unix:///run/b/admin.sock"

LIVE = SlotRow(
    haproxy=A,
    backend="web",
    slot="slot1",
    state="ready",
    address="172.18.0.4",
    port=8000,
    weight=1,
    sessions=3,
    check="L7OK",
    container_id="8ea38bb01119497123128184357eaa3ec8c8f6b8e21f6cae76bbcb905363a4f1",
    container="demo-web-1",
    service="web",
    project="demo",
    requests_per_second=120,
    age_seconds=192,
)


def slot(number: int, **changes: object) -> SlotRow:
    """Return an occupied slot with its number in slot, address and container."""
    named: dict[str, object] = {
        "slot": f"slot{number}",
        "address": f"172.18.0.{number + 3}",
        "container": f"demo-web-{number}",
        "container_id": f"{number:012x}" + "0" * 52,
    }
    return dataclasses.replace(LIVE, **{**named, **changes})  # type: ignore[arg-type] # its fields


def free(number: int, **changes: object) -> SlotRow:
    """Return a slot that nobody lives in."""
    empty = dict.fromkeys(
        ("address", "port", "check", "container_id", "container", "service", "project")
    )
    rest: dict[str, object] = {"sessions": 0, "requests_per_second": 0}
    rest |= {"age_seconds": None, "state": "free"}
    return slot(number, **{**empty, **rest, **changes})


def left_out(name: str, backend: str | None = "web", reason: str = "") -> Unplaced:
    """Return a container that has no slot."""
    return Unplaced(
        backend=backend,
        tenant=Tenant(container_id="f" * 64, container=name, service="web"),
        cause=Cause.NO_SLOT,
        reason=reason
        or f"all 4 slots of backend {backend} are taken: raise the count on its "
        "server-template line and restart or reload HAProxy",
        address="172.18.0.9",
        port=8000,
    )


MIXED = [
    slot(1),
    slot(2, state="drain", weight=0, sessions=41, age_seconds=9),
    slot(3, state="drain", held=True, weight=100, age_seconds=None),
    slot(4, state="maint", held=True, check="MAINT", age_seconds=86400 * 2 + 5),
    slot(5, state="down", check="L4CON", sessions=0, age_seconds=3600 * 4 + 60),
    slot(10, requests_per_second=1200, sessions=1024),
    free(11),
    free(12),
]
"""Every state that there is."""

IPV6 = [
    slot(1, address="2001:db8:85a3::8a2e:370:7334"),
    slot(2, address="fd00::2", port=80),
]
LONG = [
    slot(1, container="a-compose-project-with-a-long-name-payment-gateway-worker-1"),
    slot(2, container="b"),
]
HOSTILE = [
    slot(1, container="evil\x1b[2J\x1b]0;pwned\x07\r\nroot", service="\x9b31m"),
    slot(2, container="rtl\u202egnp.exe", project="a\tb"),
    slot(3, container="日本語のコンテナ", check="L4\x08OK"),
]
