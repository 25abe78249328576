"""Replies of the runtime API → values, or the error that they are.

HAProxy gives no status with an answer. A session with ``severity-output`` puts ``[3]: ``
before a message (3 an error, 4 a warning, 6 information) and nothing before a table; some
sessions (2.6 through its master) put nothing before either. So an answer is judged by
severity where there is one, and by its text in any case.

Tables are read by the names in their header, never by position, and a row that does not fit
its header is a RemoteProtocolError: part of a table is never taken for the table.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from reconciler.core.model import (
    AdminState,
    Agent,
    Process,
    Server,
    ServerRef,
    canonical_address,
)
from reconciler.core.view import Reading
from reconciler.errors import (
    CommandRejectedError,
    NoSuchServerError,
    NotSupportedError,
    PermissionDeniedError,
    RemoteProtocolError,
    quoted,
)


_SEVERITY = re.compile(r"\[([0-7])\]: ")
_WORST_HARMLESS = 4
"""Syslog's *warning*. HAProxy answers a successful ``set server … addr`` with it."""

_ADDRESS_SET = ("IP changed", "port changed", "no need to change", "nothing changed")
_ADDRESS_NOT_SET = ("can't change", "problem converting")

_REFUSALS: tuple[tuple[str, type[CommandRejectedError]], ...] = (
    ("Permission denied", PermissionDeniedError),
    ("No such server", NoSuchServerError),
    ("No such backend", NoSuchServerError),
    ("Can't find backend", NoSuchServerError),
    ("Require 'backend/server'", NoSuchServerError),
    ("Unknown command", NotSupportedError),
    ("only supported through configuration file", NotSupportedError),
    ("cannot change health on a tracking server", NotSupportedError),
    ("checks are not enabled on this server", NotSupportedError),
    ("was not configured on this server", NotSupportedError),
)
_REFUSAL_MARKS = tuple(mark for mark, _ in _REFUSALS)
_SETTERS = ("set server ", "shutdown sessions ", "enable agent ", "disable agent ")
_MENDS: dict[type[CommandRejectedError], str] = {
    PermissionDeniedError: '; the "stats socket" line needs "level admin"',
}

# srv_admin_state (HAProxy's enum srv_admin). 0x04 only says how the server was born.
_ADMIN_MAINT = 0x01 | 0x02 | 0x20
_ADMIN_DRAIN = 0x08 | 0x10
# srv_op_state: 0 stopped, 1 starting, 2 running, 3 stopping.
_UP = frozenset({"1", "2"})
_CHECK_CONFIGURED, _CHECK_ENABLED = 0x02, 0x04
_STATE_FORMAT = "1"
_NONE = "-"
_NOT_SET = "Variable not found"


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole answer. ``text`` has no severity prefix and no line break at its end."""

    command: str
    text: str
    severity: int | None = None

    @classmethod
    def parse(cls, command: str, raw: str) -> Reply:
        """Return the answer to a command from the text between two prompts."""
        if (match := _SEVERITY.match(raw)) is None:
            return cls(command, raw)
        return cls(command, raw[match.end() :], int(match.group(1)))


def setter_refusal(reply: Reply, purpose: str) -> CommandRejectedError | None:
    """Return why HAProxy did not do what a setter asked, None if it did.

    ``purpose`` completes the message, as in ``cannot set weight of web/slot3 to 5``. A
    setter is silent on success, but for an address: there success has a text, and some
    refusals begin with the same words.
    """
    return None if is_done(reply.text) else _rejection(reply, purpose)


def is_done(text: str) -> bool:
    """Whether a setter's answer, without severity, says that HAProxy did what it asked."""
    return not text or (
        text.startswith(_ADDRESS_SET)
        and not any(mark in text for mark in _ADDRESS_NOT_SET)
    )


def query_refusal(reply: Reply, purpose: str) -> CommandRejectedError | None:
    """Return why HAProxy did not answer a question, None if it did."""
    return _rejection(reply, purpose) if _is_refusal(reply) else None


def _is_refusal(reply: Reply) -> bool:
    is_severe = reply.severity is not None and reply.severity < _WORST_HARMLESS
    return is_severe or reply.text.startswith(_REFUSAL_MARKS)


def answered(reply: Reply) -> Reply:
    """Return a reply that is no refusal. Raises the CommandRejectedError that it is otherwise.

    For any command: a question, or a setter that is no action of ours.
    """
    is_setter = reply.command.startswith(_SETTERS)
    if not is_done(reply.text) if is_setter else _is_refusal(reply):
        raise _rejection(reply, f"run {quoted(reply.command)}")
    return reply


def _rejection(reply: Reply, purpose: str) -> CommandRejectedError:
    kind = next(
        (kind for mark, kind in _REFUSALS if mark in reply.text), CommandRejectedError
    )
    return kind(
        f"cannot {purpose}: haproxy answered {quoted(reply.text)}{_MENDS.get(kind, '')}",
        command=reply.command,
        reply=reply.text,
        severity=reply.severity,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """``show info``: the process that answered, and every line by its name."""

    process: Process
    uptime_seconds: int
    values: Mapping[str, str] = field(repr=False)


class Vitals(NamedTuple):
    """What every pass wants to know of the process that answers."""

    process: Process
    uptime_seconds: int


def vitals(reply: Reply) -> Vitals:
    """Return that of ``show info``, and look at none of its other eighty lines."""
    text = f"\n{reply.text}\n"
    try:
        return Vitals(
            Process(
                version=_value(text, "Version"),
                pid=int(_value(text, "Pid")),
                start_time=int(_value(text, "Start_time_sec", "0")),
                is_stopping=_value(text, "Stopping", "0") != "0",
                name=_value(text, "node", ""),
            ),
            int(_value(text, "Uptime_sec")),
        )
    except (KeyError, ValueError) as error:
        raise _malformed(reply, f"no usable {error}") from error


def _value(text: str, name: str, default: str | None = None) -> str:
    start = text.find(f"\n{name}: ")
    if start < 0:
        if default is None:
            raise KeyError(name)
        return default
    start += len(name) + 3
    return text[start : text.index("\n", start)]


def info(reply: Reply) -> Info:
    """Return what ``show info`` says (management manual 9.3)."""
    process, uptime_seconds = vitals(reply)
    return Info(process=process, uptime_seconds=uptime_seconds, values=_pairs(reply))


def _pairs(reply: Reply) -> dict[str, str]:
    pairs = (line.partition(": ") for line in reply.text.splitlines())
    return {key: value for key, separator, value in pairs if separator}


def servers(
    reply: Reply,
    *,
    now: float,
    uptime_seconds: float,
    connections: Mapping[str, int] | None = None,
    only: Collection[str] | None = None,
) -> dict[str, dict[str, Server]]:
    """Return the servers of ``show servers state`` by backend and name, in its order.

    ``only`` names the servers that are wanted; the other rows are not looked at.

    ``now`` is the reader's clock, from which ``last_change`` is counted back; a change
    before the process began is HAProxy's way to say that there was none. ``connections``
    is what :func:`connections_in_use` returned, None if it was not asked.
    """
    found: dict[str, dict[str, Server]] = {}
    for part in servers_in_parts(
        reply,
        now=now,
        uptime_seconds=uptime_seconds,
        connections=connections,
        only=only,
    ):
        for server in part:
            found.setdefault(server.ref.backend, {})[server.ref.server] = server
    return found


SERVERS_AT_ONCE = 500
"""Rows of ``show servers state`` that are read at once: about 3 ms."""


def servers_in_parts(
    reply: Reply,
    *,
    now: float,
    uptime_seconds: float,
    connections: Mapping[str, int] | None = None,
    only: Collection[str] | None = None,
) -> Iterator[list[Server]]:
    """Yield what :func:`servers` returns, in parts, so that a loop may turn between two."""
    column, lines = _state_lines(reply)
    try:
        at = _StateColumns(column)
        if only is not None:
            lines = _lines_of(lines, column["srv_name"], only)
        for start in range(0, len(lines), SERVERS_AT_ONCE):
            rows = _rows(reply, lines[start : start + SERVERS_AT_ONCE], len(column))
            yield [at.server(row, now, uptime_seconds, connections) for row in rows]
    except (KeyError, IndexError, ValueError) as error:
        raise _malformed(reply, f"no usable {error}") from error


def server_addresses(
    reply: Reply, names: Collection[str]
) -> dict[str, tuple[str, int]]:
    """Return address and port of some servers of ``show servers state BACKEND``, by name.

    The other rows are not looked at: this is what a read-back costs.
    """
    column, lines = _state_lines(reply)
    try:
        name_at = column["srv_name"]
        address_at, port_at = column["srv_addr"], column["srv_port"]
        cells = max(name_at, address_at, port_at) + 1
        return {
            row[name_at]: (_address(row[address_at]), int(row[port_at]))
            for line in _lines_of(lines, name_at, names)
            for row in (line.split(" ", cells),)
        }
    except (KeyError, IndexError, ValueError) as error:
        raise _malformed(reply, f"no usable {error}") from error


def check_places(reply: Reply) -> dict[ServerRef, tuple[str, int]]:
    """Return where the line of a server of ``show servers state`` sends its check.

    Address and port, '' and 0 where the line names none; servers of which neither is named
    are left out. Rules of the backend (``http-check connect``) do not show.
    """
    column, lines = _state_lines(reply)
    found = {}
    try:
        for row in _rows(reply, lines, len(column)):
            address, port = row[column["srv_check_addr"]], row[column["srv_check_port"]]
            if address != _NONE or port != "0":
                ref = ServerRef(row[column["be_name"]], row[column["srv_name"]])
                found[ref] = ("" if address == _NONE else address, int(port))
    except (KeyError, IndexError, ValueError) as error:
        raise _malformed(reply, f"no usable {error}") from error
    return found


def _lines_of(lines: list[str], name_at: int, names: Collection[str]) -> list[str]:
    return [line for line in lines if line.split(" ", name_at + 1)[name_at] in names]


class _StateColumns:
    """Where the columns of ``show servers state`` stand (management manual 9.3)."""

    def __init__(self, column: Mapping[str, int]) -> None:
        self._backend_id, self._backend = column["be_id"], column["be_name"]
        self._server_id, self._server = column["srv_id"], column["srv_name"]
        self._address, self._port = column["srv_addr"], column["srv_port"]
        self._op, self._admin = column["srv_op_state"], column["srv_admin_state"]
        self._weight, self._initial = column["srv_uweight"], column["srv_iweight"]
        self._since = column["srv_time_since_last_change"]
        self._check = column["srv_check_state"]
        self._agent = column["srv_agent_state"]
        self._check_port = column["srv_check_port"]
        self._check_address = column["srv_check_addr"]
        self._tls = column["srv_use_ssl"]

    def server(
        self,
        row: list[str],
        now: float,
        uptime_seconds: float,
        connections: Mapping[str, int] | None,
    ) -> Server:
        """Return one row as a value. Raises ValueError where a number is none."""
        ref = ServerRef(row[self._backend], row[self._server])
        since = int(row[self._since])
        return Server(
            ref=ref,
            backend_id=int(row[self._backend_id]),
            server_id=int(row[self._server_id]),
            address=_address(row[self._address]),
            port=int(row[self._port]),
            admin=_admin_state(row[self._admin]),
            is_up=row[self._op] in _UP,
            weight=int(row[self._weight]),
            initial_weight=int(row[self._initial]),
            has_check=bool(int(row[self._check]) & _CHECK_CONFIGURED),
            # 3.0 and 3.2 give huge figures for a server that never changed.
            last_change=now - since if 0 <= since <= uptime_seconds + 1 else None,
            connections=None if connections is None else connections.get(str(ref)),
            agent=_agent(row[self._agent]),
            # The same on 2.6 to 3.2: as on the line, or as they were set since.
            is_checked_elsewhere=(
                row[self._check_port] != "0"
                or row[self._check_address] != "-"
                or row[self._tls] != "0"
            ),
        )


@lru_cache(maxsize=1 << 15)
def _address(text: str) -> str:
    """Return an address so that equal ones compare equal; what is none stays as it is."""
    try:
        return canonical_address(text)
    except ValueError:
        return text


@lru_cache(maxsize=256)
def _admin_state(text: str) -> AdminState:
    bits = int(text)
    if bits & _ADMIN_MAINT:
        return AdminState.MAINT
    return AdminState.DRAIN if bits & _ADMIN_DRAIN else AdminState.READY


@lru_cache(maxsize=256)
def _agent(text: str) -> Agent:
    bits = int(text)
    if not bits & _CHECK_CONFIGURED:
        return Agent.NONE
    return Agent.ACTIVE if bits & _CHECK_ENABLED else Agent.SILENCED


def _state_lines(reply: Reply) -> tuple[dict[str, int], list[str]]:
    version, _, table = reply.text.partition("\n")
    if version != _STATE_FORMAT:
        raise _malformed(reply, f"format {quoted(version)}, not {_STATE_FORMAT}")
    return _table(reply, table)


def _table(reply: Reply, text: str) -> tuple[dict[str, int], list[str]]:
    """Return where each column stands, and the rows, still as lines."""
    header, *lines = text.split("\n")
    if not header.startswith("# "):
        raise _malformed(reply, "no header")
    # A last column such as idle_per_thr[2] stands for several.
    titles = [title.partition("[")[0] for title in header[2:].split()]
    return {title: index for index, title in enumerate(titles)}, lines


def _rows(reply: Reply, lines: list[str], width: int) -> Iterator[list[str]]:
    for line in lines:
        row = line.split(" ")
        if len(row) < width:
            raise _malformed(reply, f"a row of {len(row)} columns: {quoted(line)}")
        yield row


def connections_in_use(reply: Reply) -> dict[str, int]:
    """Return how many connections each server has in use, by ``backend/server``."""
    column, lines = _table(reply, reply.text)
    try:
        name_at, used_at = column["bkname/svname"], column["used_cur"]
        return {
            row[name_at]: int(row[used_at]) for row in _rows(reply, lines, len(column))
        }
    except (KeyError, ValueError) as error:
        raise _malformed(reply, f"no usable {error}") from error


def sessions_open(reply: Reply) -> dict[str, int]:
    """Return how many sessions each server of ``show stat`` has, by ``backend/server``.

    In TCP mode they are all there is: ``show servers conn`` counts none (2.6 to 3.0).
    """
    header, *lines = reply.text.split("\n")
    titles = header.removeprefix("# ").split(",")
    try:
        at = [titles.index(title) for title in ("pxname", "svname", "scur")]
        rows = [line.split(",", max(at) + 1) for line in lines if line]
        return {f"{row[at[0]]}/{row[at[1]]}": int(row[at[2]]) for row in rows}
    except (IndexError, ValueError) as error:
        raise _malformed(reply, f"no usable {error}") from error


_READ_COLUMNS = ("pxname", "svname", "scur", "status", "rate", "check_status")


def readings(reply: Reply) -> dict[ServerRef, Reading]:
    """Return what ``show stat`` says of each server, and nothing of frontends and backends.

    It reads six columns of about a hundred: 10,000 rows cost a tenth of :func:`stats`.
    """
    return {ref: one for part in readings_in_parts(reply) for ref, one in part.items()}


READINGS_AT_ONCE = 500
"""Rows of ``show stat`` that are read at once: about 2 ms."""


def readings_in_parts(reply: Reply) -> Iterator[dict[ServerRef, Reading]]:
    """Yield what :func:`readings` returns, in parts, so that a loop may turn between two."""
    header, *lines = reply.text.split("\n")
    titles = header.removeprefix("# ").split(",")
    try:
        at = [titles.index(title) for title in _READ_COLUMNS]
        for start in range(0, len(lines), READINGS_AT_ONCE):
            yield dict(_readings(lines[start : start + READINGS_AT_ONCE], at))
    except (IndexError, ValueError) as error:
        raise _malformed(reply, f"no usable {error}") from error


def _readings(lines: list[str], at: list[int]) -> Iterator[tuple[ServerRef, Reading]]:
    proxy_at, server_at, sessions_at, status_at, rate_at, check_at = at
    for line in filter(None, lines):
        # These columns stand before any that may be quoted (``last_chk``).
        row = line.split(",", check_at + 1)
        server = row[server_at]
        if server in {"FRONTEND", "BACKEND"}:
            continue
        # "* L4OK" is the last result while the next check is under way.
        check = row[check_at].removeprefix("* ")
        # "UP 1/2" is on its way down, "DOWN 1/2" on its way up.
        status = row[status_at].partition(" ")[0]
        yield (
            ServerRef(row[proxy_at], server),
            Reading(
                sessions=_number(row[sessions_at]),
                check=check or None,
                requests_per_second=_number(row[rate_at]),
                is_up={"UP": True, "DOWN": False}.get(status),
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """One row of ``show stat``: a frontend, a backend or a server.

    ``server`` is ``FRONTEND`` or ``BACKEND`` for the proxy's own rows. None stands for a
    column that is empty in this row or absent in this version; ``values`` has all of them.
    """

    proxy: str
    server: str
    status: str
    sessions: int | None
    session_rate: int | None
    weight: int | None
    check_status: str
    last_check: str
    last_change_seconds: int | None
    address: str
    values: Mapping[str, str] = field(repr=False)


def features(reply: Reply) -> frozenset[str] | None:
    """Return the features of ``show dev`` that HAProxy was built with; None: not told.

    Their line follows ``Features``, and since 3.4 ``Features:``.
    """
    lines = iter(reply.text.splitlines())
    if not any(line.removesuffix(":") == "Features" for line in lines):
        return None
    words = next(lines, "").split()
    return frozenset(word[1:] for word in words if word.startswith("+"))


def environment(told: Mapping[str, Reply]) -> dict[str, str | None] | None:
    """Return the values of variables, of replies to ``show env NAME``; None: not told.

    A variable that is not set has the value None.
    """
    found: dict[str, str | None] = {}
    for name, reply in told.items():
        if reply.text.startswith(f"{name}="):
            found[name] = reply.text.removeprefix(f"{name}=")
        elif reply.text.startswith(_NOT_SET):
            found[name] = None
        else:
            return None
    return found


def stats(reply: Reply) -> list[Stat]:
    """Return the rows of ``show stat`` (management manual 9.1)."""
    lines = reply.text.splitlines()
    if not lines or not lines[0].startswith("# "):
        raise _malformed(reply, "no header")
    lines[0] = lines[0][2:]
    rows = csv.DictReader(lines)
    try:
        return [_stat(row) for row in rows]
    except (KeyError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise _malformed(reply, f"a row that does not fit: {error}") from error


def _stat(row: dict[str, str]) -> Stat:
    if None in row.values():
        raise ValueError("it ends early")
    return Stat(
        proxy=row["pxname"],
        server=row["svname"],
        status=row["status"],
        sessions=_number(row["scur"]),
        session_rate=_number(row.get("rate", "")),
        weight=_number(row["weight"]),
        check_status=row.get("check_status", ""),
        last_check=row.get("last_chk", ""),
        last_change_seconds=_number(row["lastchg"]),
        address=row.get("addr", ""),
        values=row,
    )


def _number(text: str) -> int | None:
    return int(text) if text else None


def _malformed(reply: Reply, what: str) -> RemoteProtocolError:
    return RemoteProtocolError(
        f"haproxy's reply to {quoted(reply.command)} is not what it should be: {what}"
    )
