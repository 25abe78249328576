"""Is a backend's check a plain connect? By HAProxy's own results, and by its configuration. Pure.

A plain check passes as soon as the port is open, and anybody who can reach it can tell. A
check that asks more (HTTP, TLS, a protocol) is HAProxy's to judge, and so is one of which
nothing is known (docs/decisions/0037).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from reconciler.core.base_cfg import Template, templates_in
from reconciler.core.cfg_sections import Section


_PLAIN_RESULT = "L4OK"
"""What ``show stat`` has for a check that passed with the connection (management manual 9.1).
A failure to connect, ``L4CON`` or ``L4TOUT``, is the same for every kind. Where HAProxy adds
``(tcp-check)`` there are rules, and they may connect to another port (measured on 2.6 to 3.2:
``tcp-check connect port 81``, of which ``show servers state`` tells nothing)."""

_MORE_RESULTS = ("L6", "L7", "PROC")
"""Beginnings of the results of checks that ask more."""

_MORE_OPTIONS = (
    *("httpchk", "ssl-hello-chk", "smtpchk", "mysql-check", "pgsql-check"),
    *("redis-check", "ldap-check", "spop-check", "external-check"),
)
"""Options that make a backend's check ask more (configuration manual 4.2)."""

_MORE_WORDS = frozenset(
    {
        *("ssl", "check-ssl", "check-proto", "check-send-proxy", "check-via-socks4"),
        *("send-proxy", "send-proxy-v2", "send-proxy-v2-ssl", "send-proxy-v2-ssl-cn"),
        *("socks4", "namespace", "addr", "port", "track", "healthcheck"),
    }
)
"""Words on a server's line with which its check is another, elsewhere, or takes another way."""


_ORDER = (False, None, True)
"""Of several lines that one counts of which the least good is to be expected."""


def is_plain_result(result: str | None) -> bool | None:
    """Return what a check's result tells of its kind; None: nothing.

    ``result`` is as ``show stat`` has it, ``* `` in front while the next check is under way,
    and behind it what HAProxy adds.
    """
    word = (result or "").removeprefix("* ")
    if word == _PLAIN_RESULT:
        return True
    return False if word.startswith(_MORE_RESULTS) else None


def is_plain(by_result: bool | None, by_file: bool | None) -> bool:  # noqa: FBT001
    """Whether a check is a plain connect for sure, by what either tells (None: nothing)."""
    return (
        by_result is not False and by_file is not False and bool(by_result or by_file)
    )


def plain_checks(ways: Iterable[Iterable[Section]], prefix: str) -> dict[str, bool]:
    """Return whether the check of each backend's slots is a plain connect, by its lines.

    ``ways`` are the sections of a configuration, in each way in which HAProxy may read it.
    Left out are backends whose slots have no check, or of which that is not told for sure.
    """
    told: defaultdict[str, set[bool | None]] = defaultdict(set)
    for way in ways:
        for backend, kinds in _kinds(way, prefix).items():
            told[backend].add(min(kinds, key=_ORDER.index))
    agreed = {name: found.pop() for name, found in told.items() if len(found) == 1}
    return {name: plain for name, plain in agreed.items() if plain is not None}


def _kinds(found: Iterable[Section], prefix: str) -> defaultdict[str, set[bool | None]]:
    kinds: defaultdict[str, set[bool | None]] = defaultdict(set)
    for section in found:
        for line in templates_in(section):
            if line.prefix == prefix:
                kinds[section.name].add(_is_plain(section, line))
    return kinds


def _is_plain(section: Section, template: Template) -> bool | None:
    """Tell it of one line of slots; None where it has no check, or that is not known."""
    if section.is_assumed or section.open_lines or template.has_unknown_options:
        return None
    if "check" not in template.options:
        return None
    if any(section.has_option(name) for name in _MORE_OPTIONS):
        return False
    if section.has_option("tcp-check"):
        rules = [line.words for one in section.chain() for line in one.own("tcp-check")]
        if any(rule != ("tcp-check", "connect") for rule in rules):
            return False
    return _MORE_WORDS.isdisjoint(template.options)
