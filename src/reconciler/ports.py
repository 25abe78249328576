"""What the loop needs of the world, as Protocols. Adapters live below, fakes in the tests."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from reconciler.core.cfg_facts import Facts
from reconciler.core.model import Action, Observed, Process, Server, ServerRef
from reconciler.core.view import Reading
from reconciler.errors import RuntimeSocketError


EVENT_ACTIONS = (
    "create",
    "start",
    "kill",
    "die",
    "destroy",
    "pause",
    "unpause",
    "health_status",
    "rename",
    "update",
    "connect",
    "disconnect",
)
"""Docker's events that lead to a look. Health checks emit three exec events each: those stay
out."""


class Proxy(Protocol):
    """One HAProxy, seen through its runtime socket."""

    @property
    def name(self) -> str:
        """The socket as the operator wrote it; the ``haproxy`` column of every view."""

    async def observe(
        self,
        backends: Collection[str] | None = None,
        *,
        with_connections: bool | None = None,
        only: Collection[str] | None = None,
    ) -> Observed:
        """Read the process and the servers of some backends (None: of all).

        ``only`` names the servers to return, whatever their backend; a few of many cost
        less.
        ``with_connections`` also reads how many connections each server has in use; None
        does so only on the versions where a slot must be idle before it is given away.
        Raises RuntimeSocketError; never returns part of a table.
        """

    async def look(
        self, servers: Sequence[Server], *, verify: bool = True
    ) -> tuple[Process, list[Server]]:
        """Read a few servers anew; it costs the same whatever the size of their backends.

        ``servers`` are as they were read before. Returns them, in the same order, as they
        are now, with the connections they have in use; and the process that told it. Where
        that is another one they may be unchanged. Without ``verify`` it is not asked which
        process answers: for a look that ``apply`` follows. Raises RuntimeSocketError.
        """

    async def apply(
        self, actions: Sequence[Action], *, verify: bool = True
    ) -> list[RuntimeSocketError | None]:
        """Do these actions in order; return, for each, None or why HAProxy refused it.

        ``verify`` also asks which process answers: the last call of a pass has to.

        Raises RuntimeSocketError where the conversation itself broke: then any prefix of
        the actions may have taken effect, and the table must be observed again.
        """

    async def process(self) -> Process:
        """Read which process answers now: one cheap command."""

    async def facts(self, variables: Iterable[str]) -> Facts:
        """Read what conditions and variables in HAProxy's configuration ask for.

        ``variables`` are those of its environment to read. What it does not tell is unknown.
        Raises RuntimeSocketError.
        """

    async def check_result(self, server: Server) -> str | None:
        """Read the result of one server's last check, None where it has none.

        With what HAProxy adds to it: ``L4OK (tcp-check)``. ``server`` is as it was read before. Raises RuntimeSocketError.
        """

    async def readings(self) -> Mapping[ServerRef, Reading]:
        """Read the statistics of all servers: sessions, requests, checks.

        It costs more than a table (30 to 44 ms of HAProxy's time for 10,000 servers), so
        it is for eyes, never for a pass.
        """

    async def wait_closed(self) -> None:
        """Return when the persistent session has ended (or at once if there is none)."""

    async def aclose(self) -> None:
        """Close the session. The next call opens another."""
