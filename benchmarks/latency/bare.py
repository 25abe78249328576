"""The floors: what any correct tool has to do, done bare on sockets that are open already.

Nothing is planned, validated, logged or kept. Three of them:

* ``place`` does the same steps as the reconciler. One inspect, since an event carries no
  address. One round trip with maint and the address, and a read-back of that one server,
  asked again until HAProxy reports the address: since 2.9 it applies an address later than
  it answers, and a slot that is ready before is the former tenant's. One more round trip for
  ready and the weight, which for that reason cannot go with the first.
* ``place_in_one_write`` sends address and state together and reads the whole table back. That
  is less than a correct tool can do (see above), and was this benchmark's only floor once. It
  says what the second round trip costs.
* ``drain`` is the way out: weight 0 and maint, in one round trip. No inspect: whoever placed
  the container knows where it is, and what its stop signal is.

Fair: the setters are those that the reconciler sends, as many to a round trip, and both go
through the same engine and the same HAProxy in the same run.

Not fair, to the reconciler: a floor knows without asking which server is free, as nobody
else writes to its backend; it never asks whether HAProxy is still the same process; it reads
back one server; it does not wait until several events are in; and it is a blocking loop that
does nothing else.
Not fair, to the floor: its code is Python too. In C it would be lower, by how much was not
measured. And in a burst it takes one container after another, where the reconciler may take
several in one pass.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from latency.docker_socket import DockerSocket
from latency.runtime_socket import Place, RuntimeSocket, ready_in


PORT = 8000
BARE_SERVERS = 64
PLACEHOLDER = "127.255.255.254"
MOST_ASKED = 10_000


class BareError(Exception):
    """HAProxy did not do what it was told."""


class Bare:
    """Places containers in the backend ``floor``, and drains them there."""

    def __init__(self, engine: DockerSocket, haproxy: RuntimeSocket) -> None:
        self._engine = engine
        self._haproxy = haproxy
        self._free = deque(range(1, BARE_SERVERS + 1))
        self._taken: dict[str, int] = {}
        for number in self._free:
            self._vacate(number)

    def place(self, container_id: str) -> dict[str, Any]:
        """Bring a container into rotation; return the times."""
        number = self._take(container_id)
        server, address = f"floor/bare{number}", self._address(container_id)
        inspected = time.time_ns()
        endpoint, question = f",{address}:{PORT},", f"show stat floor 4 {number}"
        reply = self._haproxy.ask(
            f"set server {server} state maint",
            f"set server {server} addr {address} port {PORT}",
            question,
        )[-1]
        asked = 1
        while endpoint not in reply:
            asked = self._once_more(asked, server)
            (reply,) = self._haproxy.ask(question)
        addressed = time.time_ns()
        self._haproxy.ask(
            f"set server {server} state ready", f"set server {server} weight 1"
        )
        return {
            "inspected": inspected,
            "addressed": addressed,
            "answered": time.time_ns(),
            "asked": asked,
            "where": Place(f"bare{number}", address, str(PORT)),
        }

    def place_in_one_write(self, container_id: str) -> dict[str, Any]:
        """Bring a container into rotation without proof of its address; return the times."""
        number = self._take(container_id)
        server, address = f"floor/bare{number}", self._address(container_id)
        inspected = time.time_ns()
        wanted = Place(f"bare{number}", address, str(PORT))
        reply = self._haproxy.ask(
            f"set server {server} addr {address} port {PORT}",
            f"set server {server} weight 1",
            f"set server {server} state ready",
            "show servers state floor",
        )[-1]
        asked = 1
        while wanted not in ready_in(reply):
            asked = self._once_more(asked, server)
            (reply,) = self._haproxy.ask("show servers state floor")
        return {
            "inspected": inspected,
            "answered": time.time_ns(),
            "asked": asked,
            "where": wanted,
        }

    def drain(self, container_id: str) -> dict[str, Any]:
        """Take a container out of rotation; return the times."""
        server = f"floor/bare{self._taken[container_id]}"
        self._haproxy.ask(
            f"set server {server} weight 0", f"set server {server} state maint"
        )
        return {"answered": time.time_ns()}

    def forget(self, container_id: str) -> None:
        """Free a container's server again; nobody waits for this."""
        number = self._taken.pop(container_id)
        self._vacate(number)
        self._free.append(number)

    def _take(self, container_id: str) -> int:
        number = self._taken[container_id] = self._free.popleft()
        return number

    def _address(self, container_id: str) -> str:
        return address_in(self._engine.get(f"/containers/{container_id}/json"))

    def _vacate(self, number: int) -> None:
        server = f"floor/bare{number}"
        self._haproxy.ask(
            f"set server {server} weight 0",
            f"set server {server} state maint",
            f"set server {server} addr {PLACEHOLDER} port {PORT}",
        )

    def _once_more(self, asked: int, server: str) -> int:
        if asked >= MOST_ASKED:
            raise BareError(f"{server} does not get its address")
        return asked + 1


def address_in(document: dict[str, Any]) -> str:
    """Return the address of a container that is on one network, from its inspect."""
    (network,) = document["NetworkSettings"]["Networks"].values()
    return str(network["IPAddress"])
