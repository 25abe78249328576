"""Is a backend's check a plain connect? By HAProxy's own results, and by its configuration. Pure.

A plain check passes as soon as the port is open, and anybody who can reach it can tell. A
check that asks more (HTTP, TLS, a protocol) is HAProxy's to judge, and so is one of which
nothing is known (docs/decisions/0037).
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.base_cfg import templates_in
from reconciler.core.cfg_sections import Section


_PLAIN_RESULT = "L4OK"
"""What ``show stat`` has for a check that passed with the connection (management manual 9.1).
A failure to connect, ``L4CON`` or ``L4TOUT``, is the same for every kind."""

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
        *(
            "send-proxy",
            "send-proxy-v2",
            "socks4",
            "namespace",
            "addr",
            "port",
            "track",
        ),
    }
)
"""Words on a server's line with which its check is another, elsewhere, or takes another way."""


def is_plain_result(result: str | None) -> bool | None:
    """Return what a check's result tells of its kind; None: nothing.

    ``result`` is as ``show stat`` has it, ``* `` while the next check is under way.
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


def plain_checks(found: Iterable[Section], prefix: str) -> dict[str, bool]:
    """Return whether the check of each backend's slots is a plain connect, by its lines.

    Backends whose slots have no check are left out.
    """
    return {
        section.name: _is_plain(section, template.options.keys())
        for section in found
        for template in templates_in(section)
        if template.prefix == prefix and "check" in template.options
    }


def _is_plain(section: Section, words: Iterable[str]) -> bool:
    if any(section.has_option(name) for name in _MORE_OPTIONS):
        return False
    if section.has_option("tcp-check"):
        rules = [line.words for one in section.chain() for line in one.own("tcp-check")]
        if any(rule != ("tcp-check", "connect") for rule in rules):
            return False
    return _MORE_WORDS.isdisjoint(words)
