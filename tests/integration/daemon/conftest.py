"""The real daemon between a scripted engine and a real HAProxy of each version."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.scripted_engine import ScriptedEngine
from tests.support.daemon import Daemon
from tests.support.haproxy_process import HaproxyProcess, haproxy_process


WAIT_SECONDS = 15.0
POLL_SECONDS = 0.01
OUT_OF_ROTATION = 0x01 | 0x02 | 0x20 | 0x08 | 0x10
"""Bits of srv_admin_state: forced, inherited and by-resolver maint; forced and inherited
drain (management manual 9.3, ``show servers state``)."""
WEB = {"com.docker.compose.project": "demo", "com.docker.compose.service": "web"}


class Row(NamedTuple):
    """A server as HAProxy shows it, read by no code of ours."""

    address: str
    port: int
    admin: int
    weight: int

    @property
    def is_ready(self) -> bool:
        """Whether it is in rotation."""
        return not self.admin & OUT_OF_ROTATION and self.weight > 0


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


def ready(haproxy: HaproxyProcess, backend: str = "web") -> list[tuple[str, str]]:
    """Return address and name of every slot in rotation, sorted."""
    found = table(haproxy, backend).items()
    return sorted(
        (row.address, name)
        for name, row in found
        if row.is_ready and name.startswith("slot")
    )


def ready_addresses(haproxy: HaproxyProcess, backend: str = "web") -> list[str]:
    """Return the address of every slot in rotation, as often as it is there."""
    return [address for address, _ in ready(haproxy, backend)]


def running(engine: ScriptedEngine) -> list[str]:
    """Return the addresses of all containers that run."""
    return sorted(one.address for one in engine.containers if one.state == "running")


async def until(condition: Callable[[], object], what: str, daemon: Daemon) -> None:
    """Return once the condition holds. Raises AssertionError where it does not in time."""
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition():  # noqa: ASYNC110 - HAProxy tells nobody when it changes
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError as error:
        last = "\n".join(daemon.log[-20:])
        raise AssertionError(
            f"not seen: {what}; the daemon said last:\n{last}"
        ) from error


async def until_placed(
    haproxy: HaproxyProcess, engine: ScriptedEngine, daemon: Daemon
) -> None:
    """Return once exactly the running containers are ready, each in exactly one slot."""

    def is_placed() -> bool:
        return ready_addresses(haproxy) == running(engine)

    await until(is_placed, f"{len(running(engine))} ready slots", daemon)


@pytest.fixture
def haproxy3() -> Iterator[HaproxyProcess]:
    """A HAProxy 3.0, for what does not depend on the version."""
    with haproxy_process("3.0") as process:
        yield process


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    """A running scripted engine with no containers."""
    # Not pytest's tmp_path: a unix socket's path may have no more than 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="engine-"))
    async with ScriptedEngine(folder / "docker.sock") as one:
        yield one
        one.faults.clear()
    shutil.rmtree(folder)
