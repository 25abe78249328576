"""An address is only set in maint, and a third address means another writer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from tests.support.scripted_socket import Script, ScriptedSocket

from reconciler.core.model import (
    Action,
    AdminState,
    ConfirmAddress,
    ServerRef,
    SetAddress,
    SetHealthDown,
    SetState,
    SetWeight,
    ShutdownSessions,
)
from reconciler.errors import CommandRejectedError, LocalProtocolError
from reconciler.haproxy import RuntimeProxy, commands


SLOT = ServerRef("web", "slot1")
OTHER = ServerRef("web", "slot2")
INFO = "Name: HAProxy\nVersion: 3.0.11\nPid: 7\nUptime_sec: 100\nStart_time_sec: 1000\n"
HEAD = (
    "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state "
    "srv_uweight srv_iweight srv_time_since_last_change srv_check_status "
    "srv_check_result srv_check_health srv_check_state srv_agent_state "
    "bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl "
    "srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n"
)


def row(number: int, address: str, port: int) -> str:
    """Return a line of ``show servers state``."""
    tail = "1 1 5 1 0 2 0 0 0 0 -"
    return f"3 web {number} slot{number} {address} 2 1 {tail} {port} - 0 0 - - 0\n"


class Peer:
    """A HAProxy that notes every line, and answers as told."""

    def __init__(self, *tables: str, refuses: str = "\0") -> None:
        self.lines: list[str] = []
        self._tables = list(tables)
        self._refuses = refuses

    @property
    def setters(self) -> list[str]:
        """What was to be changed."""
        return [line for line in self.lines if not line.startswith("show ")]

    def script(self) -> Script:
        """Return how it plays."""

        async def play(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            for _ in range(2):
                await reader.readline()
                writer.write(b"\n> ")
            while line := (await reader.readline()).decode():
                for one in line.rstrip("\n").split(";"):
                    writer.write(f"{self._answer(one)}\n> ".encode())
                await writer.drain()

        return play

    def _answer(self, line: str) -> str:
        self.lines.append(line)
        if line == "show info":
            return INFO
        if line.startswith("show servers state"):
            found = self._tables[0]
            if len(self._tables) > 1:
                self._tables.pop(0)
            return HEAD + found
        return "[3]: No such server.\n" if self._refuses in line else ""


async def applied(
    scripted: ScriptedSocket, peer: Peer, *actions: Action
) -> Sequence[Exception | None]:
    """Apply these actions to that peer; return what came of each."""
    await scripted.serve(peer.script())
    proxy = RuntimeProxy(scripted.url)
    try:
        return await proxy.apply(actions)
    finally:
        await proxy.aclose()


def test_only_an_address_has_a_guard() -> None:
    """Maint before the address, and every other action is one line."""
    assert commands.lines(SetAddress(SLOT, "10.0.0.7", 80)) == (
        "set server web/slot1 state maint",
        "set server web/slot1 addr 10.0.0.7 port 80",
    )
    for action in (
        SetState(SLOT, AdminState.READY),
        SetWeight(SLOT, 0),
        SetHealthDown(SLOT),
        ShutdownSessions(SLOT),
        ConfirmAddress(SLOT, "10.0.0.7", 80),
    ):
        assert commands.lines(action) == (commands.command(action),)


def test_a_guard_is_not_made_of_what_is_unsafe() -> None:
    """A hostile address leaves nothing to send, not even the maint."""
    with pytest.raises(LocalProtocolError):
        commands.lines(SetAddress(SLOT, "10.0.0.7;", 80))
    with pytest.raises(LocalProtocolError):
        commands.lines(SetAddress(ServerRef("web", "a b"), "10.0.0.7", 80))


def test_a_shutdown_is_a_command_of_its_own() -> None:
    """As the management manual has it, for one server."""
    action = ShutdownSessions(SLOT)

    assert commands.command(action) == "shutdown sessions server web/slot1"
    assert commands.purpose(action) == "shut down the sessions of web/slot1"


async def test_the_guard_goes_out_with_the_address(scripted: ScriptedSocket) -> None:
    """In order, and each action keeps the result of its own lines."""
    peer = Peer(row(1, "10.0.0.7", 80) + row(2, "10.0.0.8", 80))

    results = await applied(
        scripted,
        peer,
        SetAddress(SLOT, "10.0.0.7", 80),
        SetAddress(OTHER, "10.0.0.8", 80),
        ConfirmAddress(SLOT, "10.0.0.7", 80),
        ConfirmAddress(OTHER, "10.0.0.8", 80),
    )

    assert list(results) == [None] * 4
    assert peer.setters == [
        "set server web/slot1 state maint",
        "set server web/slot1 addr 10.0.0.7 port 80",
        "set server web/slot2 state maint",
        "set server web/slot2 addr 10.0.0.8 port 80",
    ]


@pytest.mark.parametrize("refuses", ["web/slot1 state maint", "web/slot1 addr"])
async def test_a_refused_line_refuses_its_action_and_no_other(
    scripted: ScriptedSocket, refuses: str
) -> None:
    """Guard or command: the address counts as not set, and is not waited for."""
    peer = Peer(row(1, "127.255.255.1", 80) + row(2, "10.0.0.8", 80), refuses=refuses)

    results = await applied(
        scripted,
        peer,
        SetAddress(SLOT, "10.0.0.7", 80),
        SetAddress(OTHER, "10.0.0.8", 80),
        ConfirmAddress(SLOT, "10.0.0.7", 80, before="127.255.255.1"),
        ConfirmAddress(OTHER, "10.0.0.8", 80),
    )

    first, second, first_seen, second_seen = results
    assert isinstance(first, CommandRejectedError)
    assert "cannot set address of web/slot1 to 10.0.0.7:80" in str(first)
    assert first_seen is first
    assert (second, second_seen) == (None, None)
    assert sum(line.startswith("show servers") for line in peer.lines) == 1


async def test_the_old_address_is_waited_for_to_go(scripted: ScriptedSocket) -> None:
    """Since 2.9 the answer comes before the effect."""
    old, new = row(1, "10.0.0.1", 80), row(1, "10.0.0.7", 80)
    peer = Peer(old, old, new)

    results = await applied(
        scripted, peer, ConfirmAddress(SLOT, "10.0.0.7", 80, before="10.0.0.1")
    )

    assert list(results) == [None]


async def test_a_third_address_is_another_hand(scripted: ScriptedSocket) -> None:
    """Given up at the first sight of it, in words that say so."""
    peer = Peer(row(1, "10.0.0.99", 80))

    [error] = await applied(
        scripted, peer, ConfirmAddress(SLOT, "10.0.0.7", 80, before="10.0.0.1")
    )

    assert str(error) == (
        "cannot confirm address of web/slot1 to 10.0.0.7:80: haproxy still reports "
        "10.0.0.99:80; another hand wrote it"
    )
    assert peer.lines.count("show servers state web") == 1


async def test_without_a_before_any_address_may_still_go(
    scripted: ScriptedSocket,
) -> None:
    """Where nobody knows what was there, it is waited for as long as any."""
    peer = Peer(row(1, "10.0.0.99", 80), row(1, "10.0.0.7", 80))

    [result] = await applied(scripted, peer, ConfirmAddress(SLOT, "10.0.0.7", 80))

    assert result is None


async def test_the_new_address_with_another_port_is_waited_for(
    scripted: ScriptedSocket,
) -> None:
    """Address and port change one after the other."""
    peer = Peer(row(1, "10.0.0.7", 79), row(1, "10.0.0.7", 80))

    [result] = await applied(
        scripted, peer, ConfirmAddress(SLOT, "10.0.0.7", 80, before="10.0.0.1")
    )

    assert result is None
