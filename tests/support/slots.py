"""A backend's slots as HAProxy shows them, read by no code of ours."""

from __future__ import annotations

from typing import NamedTuple

from tests.support.haproxy_process import HaproxyProcess


OUT_OF_ROTATION = 0x01 | 0x02 | 0x20 | 0x08 | 0x10
"""Bits of srv_admin_state: forced, inherited and by-resolver maint; forced and inherited
drain (management manual 9.3, ``show servers state``)."""

IN_MAINT = 0x01


class Row(NamedTuple):
    """A server as HAProxy shows it."""

    address: str
    port: int
    admin: int
    weight: int

    @property
    def is_ready(self) -> bool:
        """Whether it is in rotation."""
        return not self.admin & OUT_OF_ROTATION and self.weight > 0

    @property
    def is_out(self) -> bool:
        """Whether it gets nothing new, by our own signature."""
        return bool(self.admin & OUT_OF_ROTATION) and self.weight == 0

    @property
    def is_drained(self) -> bool:
        """Whether it is out with its tenant, by our own doing: what it has goes on."""
        in_maint = self.admin & OUT_OF_ROTATION == IN_MAINT
        return self.is_out and in_maint and not self.is_free

    @property
    def is_free(self) -> bool:
        """Whether it stands at a placeholder."""
        return self.address.startswith("127.255.255.")


def table(haproxy: HaproxyProcess, backend: str = "web") -> dict[str, Row]:
    """Return the servers of a backend by name."""
    _, head, *lines = haproxy.raw(f"show servers state {backend}").split("\n")
    columns = head.removeprefix("# ").split(" ")
    rows = [dict(zip(columns, line.split(" "), strict=False)) for line in lines if line]
    return {
        row["srv_name"]: Row(
            row["srv_addr"],
            int(row["srv_port"]),
            int(row["srv_admin_state"]),
            int(row["srv_uweight"]),
        )
        for row in rows
    }


def slots(haproxy: HaproxyProcess, backend: str = "web") -> dict[str, Row]:
    """Return the slots of a backend by name: no other server."""
    found = table(haproxy, backend).items()
    return {name: row for name, row in found if name.startswith("slot")}


def ready(haproxy: HaproxyProcess, backend: str = "web") -> list[tuple[str, str]]:
    """Return address and name of every slot in rotation, sorted."""
    found = slots(haproxy, backend).items()
    return sorted((row.address, name) for name, row in found if row.is_ready)


def ready_addresses(haproxy: HaproxyProcess, backend: str = "web") -> list[str]:
    """Return the address of every slot in rotation, as often as it is there."""
    return [address for address, _ in ready(haproxy, backend)]
