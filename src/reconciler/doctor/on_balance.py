"""base.cfg: balancing, stickiness and connection reuse that suffer when slots change."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.base_cfg import Template
from reconciler.core.cfg_sections import Cfg, Line, Section, Spot
from reconciler.doctor.finding import Code, Pitfall
from reconciler.haproxy.versions import Release, reuse_needs_idle


_HASHES = ("source", "uri", "url_param", "hdr", "rdp-cookie", "hash")
_HAS_HASH_KEY = (3, 0, 0)
_BY_ADDRESS = frozenset({"addr", "addr-port"})
_STICKING = ("on", "match", "store-request", "store-response")
_HAS_TABLE = frozenset({"backend", "listen", "frontend"})
_COOKIE = (
    "`cookie NAME insert indirect nocache dynamic` and `dynamic-cookie-key SECRET`"
)


def of_balancing(
    way: Cfg, section: Section, lines: list[Template], release: Release | None
) -> Iterator[tuple[Spot, Pitfall]]:
    """Yield what is wrong with a section of ``way``, with the line.

    ``lines`` are the section's lines of slots; ``release`` is HAProxy's, None if unknown.
    """
    yield from _cookie(section)
    yield from _sticking(way, section)
    yield from _algorithm(section, lines, release)
    reuse = section.nearest("http-reuse")
    leaks = release is not None and reuse_needs_idle(release)
    if leaks and reuse is not None and reuse.words[1:] == ("always",):
        yield (
            reuse.spot,
            Pitfall(
                Code.HTTP_REUSE_ALWAYS,
                f"`http-reuse always`: this release takes up connections to former tenants "
                f"of backend {section.name}'s slots most often so",
                "write `http-reuse safe`, or upgrade to 2.8.25, 3.0.11, 3.1 or later",
            ),
        )


def _cookie(section: Section) -> Iterator[tuple[Spot, Pitfall]]:
    line = section.nearest("cookie")
    if line is None:
        return
    key = section.nearest("dynamic-cookie-key")
    if "dynamic" not in line.words or key is None:
        lacks = "dynamic-cookie-key" if "dynamic" in line.words else "dynamic"
        yield (
            line.spot,
            Pitfall(
                Code.COOKIE_NOT_DYNAMIC,
                f"`{' '.join(line.words)}` without `{lacks}`: slots have no cookie of their "
                f"own, so nobody sticks to a container of backend {section.name}",
                f"write {_COOKIE}: the value follows the address, not the slot",
            ),
        )


def _sticking(way: Cfg, section: Section) -> Iterator[tuple[Spot, Pitfall]]:
    """Judge each table that a rule sticks by: the section's own, or the one it names."""
    tables = {
        table: line
        for rule in (rule for how in _STICKING for rule in section.own("stick", how))
        for table in [_table_of(rule) or section.name]
        if (line := _table(way, section, table)) is not None
    }
    for line in tables.values():
        if not _has(line, "srvkey", "addr") and not line.assumed:
            yield (
                line.spot,
                Pitfall(
                    Code.STICK_TO_NAME,
                    f"clients of backend {section.name} stick to a slot's name: when its "
                    "container goes, they go to whoever gets the slot",
                    f"add `srvkey addr` to the `{line.words[0]}` line (2.6 and later), or "
                    f"write {_COOKIE} instead",
                ),
            )


def _table_of(rule: Line) -> str:
    """Return the table that a rule names, '' where it names none."""
    words = rule.words
    return next(
        (words[at + 1] for at in range(len(words) - 1) if words[at] == "table"), ""
    )


def _has(line: Line, *words: str) -> bool:
    return any(
        line.words[at : at + len(words)] == words for at in range(len(line.words))
    )


def _table(way: Cfg, section: Section, name: str) -> Line | None:
    """Return the line of a table; None where it is not known.

    A section has one of its own name; ``peers`` sections have some, named PEERS/TABLE.
    """
    if name == section.name:
        return next(reversed(section.own("stick-table")), None)
    group, slash, table = name.partition("/")
    for one in way.sections:
        if one.name != group or one.is_assumed:
            continue
        if slash and one.kind == "peers" and (found := one.own("table", table)):
            return found[-1]
        if not slash and one.kind in _HAS_TABLE and (found := one.own("stick-table")):
            return found[-1]
    return None


def _algorithm(
    section: Section, lines: list[Template], release: Release | None
) -> Iterator[tuple[Spot, Pitfall]]:
    balance = section.nearest("balance")
    if balance is None or len(balance.words) < len(("balance", "ALGORITHM")):
        return
    algorithm = balance.words[1]
    is_hash = algorithm.partition("(")[0] in _HASHES
    kind = section.nearest("hash-type")
    is_consistent = kind is not None and "consistent" in kind.words
    if algorithm == "static-rr" or (is_hash and not is_consistent):
        mend = "write `balance roundrobin`"
        if is_hash:
            mend = "write `hash-type consistent`, and `hash-key addr-port` on the slots' line"
        yield (
            balance.spot,
            Pitfall(
                Code.STATIC_BALANCE,
                f"`{' '.join(balance.words)}` is static in backend {section.name}: a runtime "
                "weight other than 0 and the line's own is refused, so label haproxy.weight "
                "has no effect"
                + (", and every change moves most clients" if is_hash else ""),
                mend,
            ),
        )
    elif is_hash and any(o.options.get("hash-key") not in _BY_ADDRESS for o in lines):
        yield (
            balance.spot,
            Pitfall(Code.HASH_BY_SLOT, *_hash_by_slot(section, release)),
        )


def _hash_by_slot(section: Section, release: Release | None) -> tuple[str, str]:
    mend = (
        "add `hash-key addr-port` to the `server-template` line or to `default-server`"
    )
    if release is None or release < _HAS_HASH_KEY:
        mend += (
            f" (HAProxy 3.0 and later); before that only {_COOKIE} follows a container"
        )
    text = (
        f"backend {section.name} hashes by the slot: whoever gets a slot gets the clients "
        "of its former tenant"
    )
    return text, mend
