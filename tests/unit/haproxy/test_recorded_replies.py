"""Recorded answers of each version, and what they are taken for."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.core.model import AdminState, ServerRef
from reconciler.errors import (
    CommandRejectedError,
    NoSuchServerError,
    NotSupportedError,
    PermissionDeniedError,
    RemoteProtocolError,
)
from reconciler.haproxy import replies
from reconciler.haproxy.replies import Reply


DATA = Path(__file__).parents[2] / "data"
VERSIONS = ("2.6", "2.8", "3.0")


def recorded(version: str, name: str, command: str = "show x") -> Reply:
    """Return a recorded answer as the client would."""
    raw = (DATA / f"haproxy-{version}" / f"{name}.txt").read_text()
    return Reply.parse(command, raw.rstrip("\n"))


@pytest.mark.parametrize("version", VERSIONS)
def test_show_info(version: str) -> None:
    """The process is known by its version, pid and start."""
    info = replies.info(recorded(version, "show-info"))

    assert info.process.version.startswith(version)
    assert info.process.release[:2] == tuple(int(part) for part in version.split("."))
    assert info.process.pid > 1
    assert info.process.start_time > 1_700_000_000
    assert not info.process.is_stopping
    assert info.process.name == "host"
    assert info.uptime_seconds >= 1
    assert info.values["Name"] == "HAProxy"


@pytest.mark.parametrize("version", VERSIONS)
def test_show_servers_state(version: str) -> None:
    """Each server's address, admin state, health and weights are read by column name."""
    table = replies.servers(
        recorded(version, "show-servers-state"), now=1000.0, uptime_seconds=60
    )

    assert list(table) == ["web", "tcp"]
    assert list(table["web"]) == [
        *("slot1", "slot2", "slot3", "slot4"),
        *("plain", "checked", "follower", "pipe"),
    ]
    ready, drained, free = (table["web"][f"slot{n}"] for n in (1, 2, 3))
    assert (ready.ref, ready.address, ready.port) == (
        ServerRef("web", "slot1"),
        "127.0.0.7",
        8123,
    )
    assert (ready.admin, ready.weight, ready.initial_weight) == (
        AdminState.READY,
        9,
        1,
    )
    assert (drained.admin, drained.address) == (AdminState.DRAIN, "2001:db8::7")
    assert (free.is_free, free.is_up, free.connections) == (True, False, None)
    assert not ready.is_up
    assert drained.is_up
    assert table["web"]["pipe"].address == "-"
    assert [server.has_check for server in table["web"].values()] == [
        *(True, True, True, True),
        *(False, True, False, False),
    ]
    assert ready.last_change is not None
    assert 900 < ready.last_change <= 1000


@pytest.mark.parametrize("version", VERSIONS)
def test_show_servers_conn(version: str) -> None:
    """Connections in use are known by server, and find their way into the table."""
    in_use = replies.connections_in_use(recorded(version, "show-servers-conn"))
    table = replies.servers(
        recorded(version, "show-servers-state"),
        now=0,
        uptime_seconds=60,
        connections=in_use | {"web/slot2": 7},
    )

    assert len(in_use) == 10
    assert in_use["web/slot1"] == 0
    assert table["web"]["slot2"].connections == 7


@pytest.mark.parametrize("version", VERSIONS)
def test_sessions_of_show_stat(version: str) -> None:
    """Sessions are known by server, as the whole reading of `show stat` has them."""
    reply = recorded(version, "show-stat")
    servers = [
        row for row in replies.stats(reply) if row.server not in ("FRONTEND", "BACKEND")
    ]

    sessions = replies.sessions_open(reply)

    assert servers
    for row in servers:
        assert sessions[f"{row.proxy}/{row.server}"] == row.sessions


@pytest.mark.parametrize("version", VERSIONS)
def test_readings_of_show_stat(version: str) -> None:
    """Six columns are read without the others, as the whole reading has them."""
    reply = recorded(version, "show-stat")
    servers = {
        ServerRef(row.proxy, row.server): row
        for row in replies.stats(reply)
        if row.server not in ("FRONTEND", "BACKEND")
    }

    found = replies.readings(reply)

    assert list(found) == list(servers)
    for ref, row in servers.items():
        reading = found[ref]
        assert reading.sessions == row.sessions
        assert reading.requests_per_second == row.session_rate
        assert reading.check == (row.check_status.removeprefix("* ") or None)
    assert found[ServerRef("web", "slot1")].is_up is False
    assert found[ServerRef("web", "slot3")].is_up is None


@pytest.mark.parametrize("version", VERSIONS)
def test_show_stat(version: str) -> None:
    """Rows are typed; what is empty in a row is None."""
    rows = {
        (row.proxy, row.server): row
        for row in replies.stats(recorded(version, "show-stat"))
    }

    slot = rows["web", "slot1"]
    assert (slot.status, slot.sessions, slot.weight) == ("DOWN", 0, 9)
    assert (slot.address, slot.session_rate) == ("127.0.0.7:8123", 0)
    assert rows["web", "slot3"].status == "MAINT"
    assert rows["http-in", "FRONTEND"].weight is None
    assert rows["http-in", "FRONTEND"].values["mode"] == "http"


def test_time_since_a_change_that_never_was_is_unknown() -> None:
    """3.0 and later give huge figures for a server that never changed."""
    reply = recorded("3.0", "show-servers-state-web")
    column = 9
    lines = reply.text.split("\n")
    row = lines[2].split(" ")
    for text, known in [("4294947", False), ("1799591276", False), ("61", True)]:
        row[column] = text
        changed = Reply(reply.command, "\n".join([*lines[:2], " ".join(row)]))
        table = replies.servers(changed, now=100.0, uptime_seconds=60)
        (server,) = table["web"].values()

        assert (server.last_change is not None) == known


@pytest.mark.parametrize("version", VERSIONS)
def test_a_read_back_sees_only_the_servers_asked_for(version: str) -> None:
    """Address and port of the servers named, and of no other."""
    reply = recorded(version, "show-servers-state-web")

    assert replies.server_addresses(reply, {"slot1", "slot2", "slot77"}) == {
        "slot1": ("127.0.0.7", 8123),
        "slot2": ("2001:db8::7", 80),
    }


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("set-no-backend", NoSuchServerError),
        ("set-no-server", NoSuchServerError),
        ("set-no-slash", NoSuchServerError),
        ("set-address-bad", CommandRejectedError),
        ("set-address-bad-port", CommandRejectedError),
        ("set-address-port-map", CommandRejectedError),
        ("set-address-pipe", NotSupportedError),
        ("set-weight-range", CommandRejectedError),
        ("set-weight-word", CommandRejectedError),
        ("set-weight-tail", CommandRejectedError),
        ("set-state-word", CommandRejectedError),
        ("set-health-follower", NotSupportedError),
        ("set-check-port", NotSupportedError),
        ("unknown-command", NotSupportedError),
        ("not-permitted", PermissionDeniedError),
    ],
)
def test_a_setters_refusal(
    version: str, name: str, error: type[CommandRejectedError]
) -> None:
    """Every refusal that was recorded is one, of the right kind, with HAProxy's words."""
    reply = recorded(version, name, "set server web/slot1 x")
    refusal = replies.setter_refusal(reply, "set x of web/slot1")

    assert type(refusal) is error
    assert refusal is not None
    assert str(refusal).startswith('cannot set x of web/slot1: haproxy answered "')
    assert refusal.command == "set server web/slot1 x"
    assert refusal.reply == reply.text
    assert refusal.severity in (3, 4, 6)
    assert "[" not in refusal.reply[:1]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "name", ["set-weight", "set-address", "set-address-again", "set-address-only"]
)
def test_a_setters_success(version: str, name: str) -> None:
    """Silence is success, and so is what HAProxy says of an address, warning or not."""
    assert replies.setter_refusal(recorded(version, name), "x") is None


@pytest.mark.parametrize("version", VERSIONS)
def test_a_refusal_is_known_without_its_severity(version: str) -> None:
    """Sessions that give no severity still give the same verdict."""
    for name in ("no-backend", "not-permitted", "unknown-command"):
        bare = Reply("show x", recorded(version, name).text)

        assert replies.query_refusal(bare, "read x") is not None


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "name", ["show-info", "show-servers-state", "show-servers-conn", "show-stat"]
)
def test_a_table_is_no_refusal(version: str, name: str) -> None:
    """What answers a question is not taken for a refusal."""
    reply = recorded(version, name)

    assert reply.severity is None
    assert replies.answered(reply) is reply


def test_a_permission_error_says_what_is_needed() -> None:
    """The mend is in the message."""
    reply = recorded("3.0", "not-permitted", "set server web/slot1 weight 3")

    with pytest.raises(PermissionDeniedError, match='needs "level admin"'):
        replies.answered(reply)


@pytest.mark.parametrize("cut", range(0, 1500, 37))
def test_part_of_a_table_is_never_a_table_with_broken_rows(cut: int) -> None:
    """A cut table is refused, or its rows are whole rows of the real one."""
    whole = recorded("3.0", "show-servers-state-web")
    real = replies.servers(whole, now=0, uptime_seconds=60)["web"]
    part = Reply(whole.command, whole.text[:cut])
    try:
        servers = replies.servers(part, now=0, uptime_seconds=60).get("web", {})
    except RemoteProtocolError:
        return
    for server in list(servers.values())[:-1]:
        assert server == real[server.ref.server]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2\n# be_id be_name\n",
        "1\n",
        "1\nbe_id be_name",
        "1\n# be_id be_name srv_id\n3 web 1",
    ],
)
def test_what_is_no_table_of_servers_is_an_error(text: str) -> None:
    """Another format, no header or a missing column never reads as an empty table."""
    reply = Reply("show servers state", text)

    with pytest.raises(RemoteProtocolError, match="not what it should be"):
        replies.servers(reply, now=0, uptime_seconds=1)
    with pytest.raises(RemoteProtocolError, match="not what it should be"):
        replies.server_addresses(reply, {"slot1"})


def test_a_column_may_move() -> None:
    """Columns are found by name: another order gives the same servers."""
    reply = recorded("3.0", "show-servers-state-web")
    version, header, *rows = reply.text.split("\n")
    moved = [
        version,
        "# " + " ".join(reversed(header[2:].split(" "))),
        *(" ".join(reversed(row.split(" "))) for row in rows),
    ]

    assert replies.servers(
        Reply(reply.command, "\n".join(moved)), now=0, uptime_seconds=60
    ) == replies.servers(reply, now=0, uptime_seconds=60)


@pytest.mark.parametrize("text", ["", "Pid: 5", "Version: 3\nPid: x\nUptime_sec: 1"])
def test_what_is_no_show_info_is_an_error(text: str) -> None:
    """Missing or odd lines are named."""
    with pytest.raises(RemoteProtocolError, match="show info"):
        replies.info(Reply("show info", text))


@pytest.mark.parametrize("text", ["", "pxname,svname", "# pxname,svname\nweb,slot1"])
def test_what_is_no_show_stat_is_an_error(text: str) -> None:
    """No header, or too few columns, never reads as no rows."""
    with pytest.raises(RemoteProtocolError, match="show stat"):
        replies.stats(Reply("show stat", text))


@pytest.mark.parametrize(
    "text", ["", "pxname,svname", "# pxname,svname,scur\nweb,slot1,x"]
)
def test_sessions_of_what_is_no_show_stat_are_an_error(text: str) -> None:
    """No header, or no number, never reads as no sessions."""
    with pytest.raises(RemoteProtocolError, match="show stat"):
        replies.sessions_open(Reply("show stat", text))


@pytest.mark.parametrize("text", ["", "bkname/svname used_cur", "# used_cur\nx"])
def test_what_is_no_show_servers_conn_is_an_error(text: str) -> None:
    """No header, or no number, never reads as no connections."""
    with pytest.raises(RemoteProtocolError, match="show servers conn"):
        replies.connections_in_use(Reply("show servers conn", text))


@pytest.mark.parametrize("cut", [0, 1, 200, 4000])
def test_readings_of_what_is_no_show_stat_are_an_error(cut: int) -> None:
    """No header, or a row that ends early, never reads as no servers."""
    text = recorded("3.0", "show-stat").text[:cut]
    with pytest.raises(RemoteProtocolError, match="show stat"):
        replies.readings(Reply("show stat", text))
