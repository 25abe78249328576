"""What an action looks like on the wire, and what never gets there."""

from __future__ import annotations

import pytest

from reconciler.core.model import (
    Action,
    AdminState,
    ConfirmAddress,
    ServerRef,
    SetAddress,
    SetHealthDown,
    SetState,
    SetWeight,
)
from reconciler.errors import LocalProtocolError
from reconciler.haproxy import commands


SLOT = ServerRef("web", "slot3")

HOSTILE = [
    "",
    " ",
    "a b",
    "a;b",
    "a\nb",
    "a\rb",
    "a\tb",
    "a\\b",
    "a\\",
    "a\0b",
    "a/b",
    "#1",
    "<<",
    "a\x7f",
    "ü",
    "a" * 256,
]


@pytest.mark.parametrize(
    ("action", "line", "purpose"),
    [
        (
            SetState(SLOT, AdminState.DRAIN),
            "set server web/slot3 state drain",
            "set state of web/slot3 to drain",
        ),
        (
            SetWeight(SLOT, 0),
            "set server web/slot3 weight 0",
            "set weight of web/slot3 to 0",
        ),
        (
            SetAddress(SLOT, "10.0.0.7", 80),
            "set server web/slot3 addr 10.0.0.7 port 80",
            "set address of web/slot3 to 10.0.0.7:80",
        ),
        (
            SetAddress(SLOT, "2001:DB8::0:1", None),
            "set server web/slot3 addr 2001:db8::1",
            "set address of web/slot3 to [2001:DB8::0:1]",
        ),
        (
            ConfirmAddress(SLOT, "2001:db8::1", 80),
            "show servers state web",
            "confirm address of web/slot3 to [2001:db8::1]:80",
        ),
        (
            SetHealthDown(SLOT),
            "set server web/slot3 health down",
            "set health of web/slot3 to down",
        ),
    ],
)
def test_an_action_is_one_line(action: Action, line: str, purpose: str) -> None:
    """Each action has its command, and words for what it is for."""
    assert commands.command(action) == line
    assert commands.purpose(action) == purpose


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_is_refused(text: str) -> None:
    """Only what HAProxy allows in a name passes, in either half of a reference."""
    for ref in (ServerRef(text, "slot1"), ServerRef("web", text)):
        with pytest.raises(LocalProtocolError, match="no name"):
            commands.command(SetState(ref, AdminState.READY))
    with pytest.raises(LocalProtocolError, match="no name"):
        commands.show_servers_state(text)


@pytest.mark.parametrize(
    "text",
    [*HOSTILE, "localhost", "127.1", "10.0.0.7:80", "fe80::1%eth0", "10.0.0.7 port 1"],
)
def test_a_hostile_address_is_refused(text: str) -> None:
    """Only a plain IP address passes."""
    with pytest.raises(LocalProtocolError, match="no IPv4 or IPv6 address"):
        commands.command(SetAddress(SLOT, text, 80))


@pytest.mark.parametrize("number", [0, -1, 65536, 99999, True, 80.0, "80", "80;quit"])
def test_a_hostile_port_is_refused(number: int) -> None:
    """HAProxy would take 99999 modulo 65536; only 1 to 65535 pass, and only as int."""
    with pytest.raises(LocalProtocolError, match="no port"):
        commands.command(SetAddress(SLOT, "10.0.0.7", number))


@pytest.mark.parametrize("number", [-1, 257, True, 1.5, "1", "1%"])
def test_a_hostile_weight_is_refused(number: int) -> None:
    """Only integers from 0 to 256 pass."""
    with pytest.raises(LocalProtocolError, match="no weight"):
        commands.command(SetWeight(SLOT, number))


@pytest.mark.parametrize(
    "line", ["show info", "set server web/slot1 weight 50%", "show stat web 4 -1"]
)
def test_a_plain_line_passes(line: str) -> None:
    """Another program may send what it likes, a command at a time."""
    assert commands.checked_line(line) == line


@pytest.mark.parametrize(
    "line",
    [
        "",
        "  ",
        "show info;show stat",
        "show info\nshow stat",
        "show info\0show stat",
        "show info\\",
        "add map x <<",
        "show ünfo",
        "x" * 4097,
        "prompt",
        " prompt i",
        "quit",
        "user",
        "operator",
        "@1 show info",
        " @!4711",
        "set severity-output none",
    ],
)
def test_an_unsafe_line_is_refused(line: str) -> None:
    """More than one command, a payload, or a change of the session: nothing is sent."""
    with pytest.raises(LocalProtocolError):
        commands.checked_line(line)


def test_questions_name_their_backend() -> None:
    """Each question may be asked of one backend, or of all."""
    assert commands.show_servers_state() == "show servers state"
    assert commands.show_servers_state("web") == "show servers state web"
    assert commands.show_servers_conn("web") == "show servers conn web"
    assert commands.show_server_stat("web") == "show stat web 4 -1"
    assert commands.show_server_stat() == "show stat -1 4 -1"
    assert commands.show_stat() == "show stat"
    assert commands.show_stat("web") == "show stat web -1 -1"
