"""base.cfg: balancing, stickiness and connection reuse that suffer when slots change."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.base_cfg import Template
from reconciler.core.cfg_sections import Release, Section
from reconciler.doctor.finding import Code, Pitfall
from reconciler.haproxy.versions import reuse_needs_idle


_HASHES = ("source", "uri", "url_param", "hdr", "rdp-cookie", "hash")
_HAS_HASH_KEY = (3, 0, 0)
_BY_ADDRESS = frozenset({"addr", "addr-port"})
_STICKING = ("on", "match", "store-request", "store-response")
_COOKIE = (
    "`cookie NAME insert indirect nocache dynamic` and `dynamic-cookie-key SECRET`"
)


def of_balancing(
    section: Section, lines: list[Template], release: Release | None
) -> Iterator[tuple[int, Pitfall]]:
    """Yield what is wrong, with the line's number.

    ``lines`` are the section's lines of slots; ``release`` is HAProxy's, None if unknown.
    """
    yield from _cookie(section)
    yield from _sticking(section)
    yield from _algorithm(section, lines, release)
    reuse = section.nearest("http-reuse")
    leaks = release is not None and reuse_needs_idle(release)
    if leaks and reuse is not None and reuse.words[1:] == ("always",):
        yield (
            reuse.number,
            Pitfall(
                Code.HTTP_REUSE_ALWAYS,
                f"`http-reuse always`: this release takes up connections to former tenants "
                f"of backend {section.name}'s slots most often so",
                "write `http-reuse safe`, or upgrade to 2.8.25, 3.0.11, 3.1 or later",
            ),
        )


def _cookie(section: Section) -> Iterator[tuple[int, Pitfall]]:
    line = section.nearest("cookie")
    if line is None:
        return
    key = section.nearest("dynamic-cookie-key")
    if "dynamic" not in line.words or key is None:
        lacks = "dynamic-cookie-key" if "dynamic" in line.words else "dynamic"
        yield (
            line.number,
            Pitfall(
                Code.COOKIE_NOT_DYNAMIC,
                f"`{' '.join(line.words)}` without `{lacks}`: slots have no cookie of their "
                f"own, so nobody sticks to a container of backend {section.name}",
                f"write {_COOKIE}: the value follows the address, not the slot",
            ),
        )


def _sticking(section: Section) -> Iterator[tuple[int, Pitfall]]:
    rules = [rule for how in _STICKING for rule in section.own("stick", how)]
    tables = section.own("stick-table")
    by_address = any(
        line.words[at : at + 2] == ("srvkey", "addr")
        for line in tables
        for at in range(len(line.words))
    )
    if rules and tables and not by_address:
        yield (
            tables[-1].number,
            Pitfall(
                Code.STICK_TO_NAME,
                f"clients of backend {section.name} stick to a slot's name: when its "
                "container goes, they go to whoever gets the slot",
                "add `srvkey addr` to the `stick-table` line (2.6 and later), or write "
                f"{_COOKIE} instead",
            ),
        )


def _algorithm(
    section: Section, lines: list[Template], release: Release | None
) -> Iterator[tuple[int, Pitfall]]:
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
            balance.number,
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
            balance.number,
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
