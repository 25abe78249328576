"""The same HAProxy configuration, but the slots are filled by HAProxy's own DNS client.

Derived from haproxy/base.cfg when the benchmark runs, so that time-outs, retries, checks
and balancing are the same by construction. Two things change:

* the ``server-template`` line of the backend ``web``: a name to resolve for the address,
  ``check resolvers docker init-addr none`` for ``disabled`` (a server that has no address
  yet waits for one);
* a section ``resolvers docker`` is added, which asks Docker's own DNS server.
"""

from __future__ import annotations

import re


SERVICE = "web"

_SECTION = re.compile(r"^(?=\S)", re.MULTILINE)
_TEMPLATE = re.compile(
    r"^(?P<start>[ \t]+server-template[ \t]+\S+[ \t]+\S+)[ \t]+[\d.]+:(?P<port>\d+)[ \t]+disabled[ \t]*$",
    re.MULTILINE,
)

_RESOLVERS = """
resolvers docker
    nameserver dns 127.0.0.11:53
    # An answer with twenty addresses does not fit into the default of 512 bytes.
    accepted_payload_size 8192
    timeout resolve 1s
    timeout retry 1s
    hold valid 1s
"""


class ConfigError(Exception):
    """base.cfg is not written the way this replacement knows."""


def with_dns(base: str) -> str:
    """Return base.cfg with the slots of ``web`` filled by DNS. Raises ConfigError."""
    sections = _SECTION.split(base)
    places = [
        number
        for number, section in enumerate(sections)
        if section.split(maxsplit=2)[:2] == ["backend", SERVICE]
    ]
    if len(places) != 1:
        raise ConfigError(f"base.cfg has {len(places)} backends {SERVICE!r}, not one")
    changed, count = _TEMPLATE.subn(
        rf"\g<start> {SERVICE}:\g<port> check resolvers docker init-addr none",
        sections[places[0]],
    )
    if count != 1:
        raise ConfigError(
            f"the backend {SERVICE!r} of base.cfg has {count} lines "
            "'server-template NAME RANGE ADDRESS:PORT disabled', not one"
        )
    sections[places[0]] = changed
    return "".join(sections) + _RESOLVERS


def with_log(config: str, path: str) -> str:
    """Return it with one log more: what becomes of servers, but no requests.

    Raises ConfigError where it has no section ``global``.
    """
    line = f"global\n    log {path} format raw local0 notice"
    changed, count = re.subn(r"^global$", line, config, flags=re.MULTILINE)
    if count != 1:
        raise ConfigError(f"base.cfg has {count} sections 'global', not one")
    return changed
