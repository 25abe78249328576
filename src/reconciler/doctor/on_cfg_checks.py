"""base.cfg: checks of slots that go elsewhere than to the slot's own address and port."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.core.base_cfg import PROXIES, Template
from reconciler.core.cfg_sections import Cfg, Line, Section, Spot
from reconciler.doctor.finding import Code, Pitfall


_KINDS = {"httpchk": "http-check", "tcp-check": "tcp-check"}
"""Options that have HAProxy check by rules, and the word that such rules begin with."""
_OTHER_KINDS = frozenset(
    [
        "external-check",
        "ldap-check",
        "mysql-check",
        "pgsql-check",
        "redis-check",
        "smtpchk",
        "spop-check",
        "ssl-hello-chk",
    ]
)
_NO_RULES = frozenset({"disable-on-404", "send-state"})
_WITH_VALUE = frozenset({"addr", "alpn", "comment", "port", "proto", "sni"})
_FIRST = len(("http-check", "connect"))


def of_checks(
    section: Section, lines: list[Template]
) -> Iterator[tuple[Spot, Pitfall]]:
    """Yield each ``connect`` rule that sends the check of slots elsewhere."""
    if not any("check" in one.options for one in lines):
        return
    for rule in _rules(section):
        yield from _of_rule(section, rule)


def _rules(section: Section) -> list[Line]:
    """Return the ``connect`` rules in force: those of the nearest section with any rule."""
    kind = _kind(section)
    for one in section.chain():
        rules = [
            line
            for line in one.own(kind)
            if not _NO_RULES.intersection(line.words[1:2])
        ]
        if rules:
            return [line for line in rules if line.starts(kind, "connect")]
    return []


def _kind(section: Section) -> str:
    """Return what the rules of the section's checks begin with: the last such option."""
    for one in section.chain():
        for line in reversed(one.own("option")):
            name = line.words[1] if line.words[1:] else ""
            if name in _KINDS or name in _OTHER_KINDS:
                return _KINDS.get(name, "no rules")
    return "no rules"


def _of_rule(section: Section, rule: Line) -> Iterator[tuple[Spot, Pitfall]]:
    given = _values(rule)
    shown = " ".join(rule.words)
    if "addr" in given:
        yield (
            rule.spot,
            Pitfall(
                Code.TEMPLATE_CHECK_ADDR,
                f"`{shown}`: every slot of backend {section.name} is checked at "
                f"{given['addr']}, whatever container is in it",
                "remove `addr`: the check then goes to the slot's own address",
            ),
        )
    if "port" in given:
        yield (
            rule.spot,
            Pitfall(
                Code.TEMPLATE_CHECK_PORT,
                f"`{shown}`: every container of backend {section.name} must answer the "
                f"check on port {given['port']}",
                "remove `port`, unless they all do: the check then goes to the slot's own "
                "port",
            ),
        )


def _values(rule: Line) -> dict[str, str]:
    """Return the keywords of a ``connect`` rule with their values."""
    found = {}
    left = iter(rule.words[_FIRST:])
    for word in left:
        if word in _WITH_VALUE:
            found[word] = next(left, "")
    return found


def rule_place(ways: Iterable[Cfg], backend: str) -> dict[str, str]:
    """Return ``addr`` and ``port`` that a backend's one ``connect`` rule names.

    Nothing where there are several rules, or where it depends on what HAProxy does not tell.
    """
    places: list[dict[str, str]] = []
    for way in ways:
        for section in way.sections:
            if section.kind in PROXIES and section.name == backend:
                rules = _rules(section)
                one = _values(rules[0]) if len(rules) == 1 else {}
                places.append({k: one[k] for k in ("addr", "port") if k in one})
    is_agreed = bool(places) and all(one == places[0] for one in places)
    return places[0] if is_agreed else {}
