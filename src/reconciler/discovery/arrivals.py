"""Whoever was created and does not run yet: what can be known of it before it starts.

An engine attaches a container to its network some 150 ms before it starts it, and tells of
both. So a slot can have its address by then, and what is left to do after the start is to let
it into rotation (docs/decisions/0031). It is done for a lone container with one network and
no HEALTHCHECK; whoever comes in a crowd, or cannot be read, waits for its start as ever.

Nothing depends on it. What is found out is a hint like the events it comes from, and the
start is looked at once more when it is over.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from reconciler.core.membership import TASK_ID
from reconciler.core.model import Attachment, Container, Health
from reconciler.discovery.engine import Engine
from reconciler.errors import DiscoveryError


T = TypeVar("T")

PATIENCE_SECONDS = 1.0
"""For an answer. An engine does not describe a container while it starts it."""

MOST_BORN = 64
"""So many that were created and did not start are remembered."""

MOST_RUNNING = 256
"""Where more run, nobody is read before its start: a network is described with all of them."""


class Arrivals:
    """Reads who is created, one at a time, and its address once it is attached."""

    def __init__(self, engine: Engine, expect: Callable[[Container], None]) -> None:
        """``expect`` takes a container that is about to start, with its address."""
        self._engine = engine
        self._expect = expect
        self._born: OrderedDict[str, Container] = OrderedDict()
        """Who was created, as it was described."""
        self._reading: asyncio.Task[None] | None = None
        self._about = ""
        """Who is being read."""

    @property
    def is_busy(self) -> bool:
        """Whether one is being read: whoever comes meanwhile is part of a crowd."""
        return self._reading is not None and not self._reading.done()

    def born(self, container_id: str, tasks: asyncio.TaskGroup) -> None:
        """A container was created: read what it will be."""
        if not self.is_busy:
            self._read(container_id, self._describe(container_id), tasks)

    def __contains__(self, container_id: str) -> bool:
        return container_id in self._born

    def attached(
        self, container_id: str, network_id: str, tasks: asyncio.TaskGroup
    ) -> None:
        """A container got an address on a network: read that."""
        if container_id in self._born and network_id and not self.is_busy:
            self._read(container_id, self._locate(container_id, network_id), tasks)

    def forget(self, container_id: str) -> None:
        """It runs, or never will: what it was does not count any more."""
        self._born.pop(container_id, None)
        if self._about == container_id and self._reading is not None:
            # Its engine did not answer before the start: the look that follows is enough.
            self._reading.cancel()

    def stop(self) -> None:
        """Read nobody any more."""
        if self._reading is not None:
            self._reading.cancel()
        self._reading = None
        self._born.clear()

    def _read(
        self,
        container_id: str,
        answer: Coroutine[Any, Any, None],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._about = container_id
        self._reading = tasks.create_task(answer)

    async def _describe(self, container_id: str) -> None:
        container = await _in_time(self._engine.container(container_id))
        if container is None or not _can_be_expected(container):
            return
        self._born[container_id] = container
        if len(self._born) > MOST_BORN:
            self._born.popitem(last=False)

    async def _locate(self, container_id: str, network_id: str) -> None:
        found = await _in_time(self._engine.addresses_on(network_id, container_id))
        container = self._born.pop(container_id, None)
        if found is None or container is None:
            return  # it is not there any more, or has started meanwhile
        ipv4, ipv6 = found
        (attachment,) = container.networks
        there = Attachment(network=attachment.network, ipv4=ipv4, ipv6=ipv6)
        self._expect(dataclasses.replace(container, networks=(there,)))


async def _in_time(answer: Awaitable[T | None]) -> T | None:
    """Return an answer, None where it does not come or is none."""
    with suppress(DiscoveryError, TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await answer
    return None


def _can_be_expected(container: Container) -> bool:
    """Whether it starts into rotation, at an address that one network gives it.

    Nobody is placed without a label that means something here.
    """
    return (
        not container.is_running
        and container.health is Health.NONE
        and len(container.networks) == 1
        and bool(container.labels)
        and TASK_ID not in container.labels
    )
