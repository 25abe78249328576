"""base.cfg: the runtime socket in the ``global`` section."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from reconciler.core.base_cfg import is_inet, split_family
from reconciler.core.cfg_sections import Line, Spot
from reconciler.doctor.finding import Code, Pitfall


_FEWEST_CONNECTIONS = 4
"""The daemon's, that of two commands, and the next daemon's while it is replaced."""
_SHORTEST_SECONDS = 3.0
"""The daemon asks every second; a session that ends sooner than this ends under it."""
_OTHERS_MAY_WRITE = 0o002
_PLACE = len(("stats", "socket"))
_NO_FILE = frozenset({"fd", "abns", "abnsz", "sockpair"})
_TCP = re.compile(r"(?P<host>[^/@]*):(?P<port>[^/@:]+)")
_LOOPBACK = re.compile(r"127\..*|\[?::1\]?|localhost", re.ASCII)
_DURATION = re.compile(r"(\d+)(us|ms|s|m|h|d)?", re.ASCII)
_UNIT_SECONDS = {
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}


def of_global(
    lines: Iterable[Line], top: Spot, *, is_admin: bool
) -> Iterator[tuple[Spot, Pitfall]]:
    """Yield what is wrong, with its line.

    ``lines`` are of all global sections; ``top`` is what to name where there are none.
    ``is_admin``: a socket was reached that may change servers, whatever the lines say.
    """
    lines = list(lines)
    sockets = [
        line
        for line in lines
        if line.starts("stats", "socket") and len(line.words) > len(("stats", "socket"))
    ]
    if not is_admin:
        yield from _level(lines, sockets, top)
    for line in sockets:
        if not line.assumed:
            yield from _mode(line)
            yield from _tcp(line)
        yield from _tls(line)
    yield from _limits(lines)


def _level(
    lines: list[Line], sockets: list[Line], top: Spot
) -> Iterator[tuple[Spot, Pitfall]]:
    if any(
        _value(line, "level") == "admin" or line.assumed.keys() - {_PLACE}
        for line in sockets
    ):
        return
    at = next((line.spot for line in (*sockets, *lines)), top)
    said = "its `stats socket` line has" if sockets else "there is"
    yield (
        at,
        Pitfall(
            Code.STATS_SOCKET_LEVEL,
            f"{said} no level admin: with less no slot can be changed",
            "write `stats socket /run/haproxy/admin.sock mode 660 level admin` in `global`",
        ),
    )


def _mode(line: Line) -> Iterator[tuple[Spot, Pitfall]]:
    place = line.words[_PLACE]
    family, rest = split_family(place)
    if _tcp_place(line) is not None or family in _NO_FILE:
        return
    place = rest
    mode = _value(line, "mode")
    try:
        is_open = mode is not None and int(mode, 8) & _OTHERS_MAY_WRITE
    except ValueError:
        return  # HAProxy will complain, not we
    if mode is None:
        yield (
            line.spot,
            Pitfall(
                Code.STATS_SOCKET_MODE,
                f"{place} has no `mode`: who may open it depends on the umask",
                "write `mode 660` on the line: its owner and its group, and nobody else",
            ),
        )
    elif is_open:
        yield (
            line.spot,
            Pitfall(
                Code.STATS_SOCKET_MODE,
                f"`mode {mode}`: every user of the machine may change HAProxy",
                "write `mode 660` on the line: its owner and its group, and nobody else",
            ),
        )


def _tcp(line: Line) -> Iterator[tuple[Spot, Pitfall]]:
    place = _tcp_place(line)
    if place is not None and not _LOOPBACK.fullmatch(place["host"]):
        yield (
            line.spot,
            Pitfall(
                Code.STATS_SOCKET_TCP,
                f"{line.words[2]} has no password, and others reach it: whoever does may "
                "change HAProxy",
                f"write `stats socket ipv4@127.0.0.1:{place['port']}` or the path of a unix "
                "socket; between containers, a network that is theirs alone",
            ),
        )


def _tcp_place(line: Line) -> re.Match[str] | None:
    """Return host and port of a socket on TCP, None where it is another kind of socket."""
    family, rest = split_family(line.words[_PLACE])
    return _TCP.fullmatch(rest) if not family or is_inet(family) else None


def _tls(line: Line) -> Iterator[tuple[Spot, Pitfall]]:
    """HAProxy 2.6 to 3.0 read the word, and answer everybody in plain text all the same."""
    if "ssl" in line.words[3:]:
        yield (
            line.spot,
            Pitfall(
                Code.STATS_SOCKET_TLS,
                f"HAProxy ignores `ssl` on a `stats socket` line: {line.words[2]} speaks plain "
                "text, and asks nobody for a certificate",
                "bind a frontend with `ssl … verify required` that leads to the unix socket: "
                "see compose/swarm/runtime-tls.cfg",
            ),
        )


def _limits(lines: list[Line]) -> Iterator[tuple[Spot, Pitfall]]:
    for line in lines:
        value = line.words[2] if len(line.words) > len(("stats", "KEY")) else ""
        if line.starts("stats", "maxconn") and value.isdecimal():
            if int(value) < _FEWEST_CONNECTIONS:
                yield (
                    line.spot,
                    Pitfall(
                        Code.STATS_MAXCONN,
                        f"`stats maxconn {value}`: the daemon keeps one connection and each "
                        "command takes one; whoever comes too late waits without a word",
                        "write `stats maxconn 20` (the default is 10)",
                    ),
                )
        elif line.starts("stats", "timeout"):
            found = _DURATION.fullmatch(value)
            seconds = 1e9
            if found is not None:
                seconds = int(found[1]) * _UNIT_SECONDS[found[2] or "ms"]
            if seconds < _SHORTEST_SECONDS:
                yield (
                    line.spot,
                    Pitfall(
                        Code.STATS_TIMEOUT,
                        f"`stats timeout {value}`: HAProxy ends the daemon's session between "
                        "two of its questions, again and again",
                        "write `stats timeout 1h`, or leave the line out (10 s)",
                    ),
                )


def _value(line: Line, keyword: str) -> str | None:
    """Return the word after a keyword, None where it is not there."""
    words = line.words
    if keyword not in words[3:-1]:
        return None
    return words[words.index(keyword, 3) + 1]
