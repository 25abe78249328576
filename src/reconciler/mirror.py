"""One HAProxy's servers as the loop knows them: what was read, and what was done since.

It is read in whole or in part, changed server by server, and indexed, so that one event is
found its slots without a search. A server that was read again and is as it was stays the same
object: a resync of 10,000 slots that finds nothing leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Collection, Iterable, Mapping
from itertools import islice

from reconciler.core.effect import dated
from reconciler.core.model import Place, Server, ServerRef
from reconciler.core.table import SlotIndex, is_as_left, is_same


SERVERS_AT_ONCE = 1000
"""So many servers are taken in at once: 2 to 3 ms. Then the loop may turn."""

Tables = dict[str, dict[str, Server]]
"""Backends by name, servers by name."""


class Mirror:
    """One HAProxy's servers as they are known. Only its worker changes it."""

    def __init__(self, slot_prefix: str) -> None:
        self._prefix = slot_prefix
        self._indexes: dict[str, SlotIndex] = {}
        self._ports: dict[str, frozenset[int]] = {}
        self.tables: Tables = {}

    def get(self, ref: ServerRef) -> Server:
        """Return a server as it is known. Raises KeyError where there is none."""
        return self.tables[ref.backend][ref.server]

    def put(self, server: Server) -> None:
        """A server is different now."""
        _put(self.tables, self._indexes, server)

    async def take_in(
        self, fresh: Mapping[str, Mapping[str, Server]], *, now: float, anew: bool
    ) -> set[str]:
        """Take in whole backends as they were just read; return where somebody wrote.

        With ``anew`` nothing that is known counts any more: it is another process. What is
        seen from outside meanwhile is the old copy, or servers old and new.
        """
        if anew:
            self._ports = {}
        tables, indexes = ({}, {}) if anew else (self.tables, self._indexes)
        differing: set[str] = set()
        for backend, servers in fresh.items():
            known = tables.get(backend, {})
            if known.keys() != servers.keys():
                known = {}
                tables[backend], indexes[backend] = {}, SlotIndex((), self._prefix)
                differing.add(backend)
            rest = iter(servers.values())
            while part := list(islice(rest, SERVERS_AT_ONCE)):
                await asyncio.sleep(0)
                for server in part:
                    before = known.get(server.ref.server)
                    after = dated(server, before, now=now)
                    if before is not None and is_same(before, after):
                        continue
                    _put(tables, indexes, after)
                    if before is None or not is_as_left(before, after):
                        differing.add(backend)
        self.tables, self._indexes = tables, indexes
        return differing

    def keep_only(self, backends: Collection[str]) -> None:
        """Forget every other backend: HAProxy has it no more."""
        for backend in self.tables.keys() - set(backends):
            del self.tables[backend], self._indexes[backend]

    async def take_looks(self, looks: Iterable[Server], *, now: float) -> set[str]:
        """Take in single servers as they were just read; return where somebody wrote."""
        differing: set[str] = set()
        for number, server in enumerate(looks, 1):
            if number % SERVERS_AT_ONCE == 0:
                await asyncio.sleep(0)
            before = self.get(server.ref)
            after = dated(server, before, now=now)
            if not is_same(before, after):
                self.put(after)
            if not is_as_left(before, after):
                differing.add(server.ref.backend)
        return differing

    def slots_at(self, backend: str, places: Collection[Place]) -> list[Server]:
        """Return the slots of a backend with these addresses and ports."""
        if backend not in self._indexes:
            return []
        servers = self.tables[backend]
        return [servers[name] for name in self._indexes[backend].at(places)]

    def has_slot_at(self, backend: str, place: Place) -> bool:
        """Whether some slot of a backend has this address and port."""
        return backend in self._indexes and self._indexes[backend].holds(place)

    def longest_free(self, backend: str, count: int) -> list[Server]:
        """Return so many free slots of a backend, in the planner's order."""
        if backend not in self._indexes:
            return []
        return self._indexes[backend].longest_free(count, self.tables[backend])

    def free_ports(self, backend: str) -> frozenset[int]:
        """Return the ports that the free slots of a backend have.

        Where none is free, those that the last ones had: none of them has changed since.
        """
        found = self._indexes[backend].free_ports if backend in self._indexes else None
        if found:
            self._ports[backend] = found
        return self._ports.get(backend, frozenset())

    async def forget_connections(self, backends: Collection[str]) -> None:
        """Connections were read for one pass: in the next one they are others."""
        for backend in backends & self.tables.keys():
            rest = iter(list(self.tables[backend].values()))
            while part := list(islice(rest, SERVERS_AT_ONCE)):
                self.forget_connections_of(part)
                await asyncio.sleep(0)

    def forget_connections_of(self, servers: Iterable[Server]) -> None:
        """Forget the connections of some servers."""
        for one in servers:
            server = self.tables.get(one.ref.backend, {}).get(one.ref.server)
            if server is not None and server.connections is not None:
                self.put(dataclasses.replace(server, connections=None))


def _put(tables: Tables, indexes: dict[str, SlotIndex], server: Server) -> None:
    backend, name = server.ref
    servers = tables[backend]
    indexes[backend].replaced(servers.get(name), server)
    servers[name] = server
