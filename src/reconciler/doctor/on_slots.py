"""Each backend's slots: are there enough, are they kept, and does HAProxy find them up?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from reconciler.core.model import AdminState, KeptFor, Server
from reconciler.core.placement import Found, backends_of, is_enabled
from reconciler.core.plan import slot_number
from reconciler.core.view import Tenants, age_of, is_held
from reconciler.doctor.evidence import Evidence, ProxyReading
from reconciler.doctor.finding import Code, Finding, found
from reconciler.doctor.on_cfg_checks import rule_place
from reconciler.haproxy.replies import Stat


_PASSED = frozenset({"", "INI", "UNK", "L4OK", "L6OK", "L7OK", "L7OKC", "PROCOK"})
"""Check results that say nothing bad, or nothing yet."""
_STEP_PORT = re.compile(r"\(connect port (\d+)\)", re.ASCII)
"""As HAProxy says it of a `tcp-check connect` rule that failed."""
_SHOWN = 5
"""How many missing numbers are told."""


class _Lookup(NamedTuple):
    """One HAProxy, with what is looked up for each of its slots."""

    evidence: Evidence
    proxy: ProxyReading
    desired: frozenset[tuple[str, str, int]]
    """Backend, address and port of every endpoint that should have a slot."""
    tenants: Tenants

    def section_of(self, slot: Server) -> str:
        return self.evidence.section_of(self.proxy, slot.ref.backend)

    def who(self, slot: Server) -> str:
        """Return who lives in a slot, and where."""
        tenant = self.tenants.of(slot)
        return f"{tenant.container} ({_place(slot)})" if tenant else _place(slot)


def _lookup(evidence: Evidence, proxy: ProxyReading) -> _Lookup:
    endpoints = proxy.world.desired.all_endpoints()
    return _Lookup(
        evidence,
        proxy,
        frozenset(
            endpoint.key
            for endpoint in (*endpoints, *(k.endpoint for k in proxy.world.plan.kept))
        ),
        Tenants(evidence.world.claims.containers.values(), endpoints),
    )


def of_backends(evidence: Evidence, proxy: ProxyReading) -> Iterator[Finding]:
    """Say how the slots of one HAProxy are, backend by backend."""
    prefix = evidence.settings.slot_prefix
    stats = {(stat.proxy, stat.server): stat for stat in proxy.stats}
    lookup = _lookup(evidence, proxy)
    yield from _kept(evidence, proxy)
    for backend, slots in proxy.slots(prefix).items():
        yield from _counts(evidence, proxy, backend, slots)
        yield from _gaps(evidence, proxy, backend, slots)
        for slot in slots:
            stat = stats.get((backend, slot.ref.server))
            yield from _slot(lookup, slot, stat)
    yield from _without_slots(evidence, proxy)


def _kept(evidence: Evidence, proxy: ProxyReading) -> Iterator[Finding]:
    """Find tenants that nothing asks for, and that keep their slots all the same."""
    limit = f"{evidence.settings.max_release:g} %"
    for one in proxy.world.plan.kept:
        who = one.endpoint.tenant.container
        section = evidence.section_of(proxy, one.ref.backend)
        if one.cause is KeptFor.LIMIT:
            text = (
                f"{who} would leave it, and keeps it: {one.why}. No more than {limit} of "
                "the backend is released at once (--max-release) while the containers run"
            )
            yield found(
                Code.RELEASE_LIMIT, str(one.ref), text, one.mend, section=section
            )
        else:
            text = f"{who} keeps it; a newcomer like it would not be placed: {one.why}"
            yield found(
                Code.TENANT_UNCLEAR, str(one.ref), text, one.mend, section=section
            )


def _counts(
    evidence: Evidence, proxy: ProxyReading, backend: str, slots: list[Server]
) -> Iterator[Finding]:
    section, thing = evidence.section_of(proxy, backend), f"backend {backend}"
    free = sum(slot.is_free for slot in slots)
    running = len(proxy.world.desired.endpoints.get(backend, ()))
    text = f"{len(slots)} slots, {free} free"
    prefix, enough = evidence.settings.slot_prefix, _enough(running, len(slots))
    more = f"`server-template {prefix} 1-{enough} …`"
    if free == 0:
        mend = f"raise the count on its line, such as {more}, and reload HAProxy once"
        yield found(Code.SLOTS_FULL, thing, text, mend, section=section)
    elif free < running:
        yield found(
            Code.SLOTS_HEAD_ROOM,
            thing,
            f"{text}, {running} containers: a deployment that starts new containers "
            "before it stops the old ones does not fit",
            f"raise the count on its line, such as {more}, and reload HAProxy once",
            section=section,
        )
    else:
        yield found(Code.SLOTS, thing, text, section=section)


def _enough(running: int, slots: int) -> int:
    """Return a count of slots, in eights: more than there are, and 2.5 for a container."""
    return -(-max(running * 5 // 2, slots + 1) // 8) * 8


def _gaps(
    evidence: Evidence, proxy: ProxyReading, backend: str, slots: list[Server]
) -> Iterator[Finding]:
    prefix = evidence.settings.slot_prefix
    numbers = {slot_number(slot.ref.server, prefix) or 0 for slot in slots}
    first, last = min(numbers), max(numbers)
    count = last - first + 1 - len(numbers)
    if count:
        # Lazily: somebody may have a slot999999999.
        missing = (n for n in range(first, last + 1) if n not in numbers)
        span = ", ".join(map(str, islice(missing, _SHOWN)))
        span += ", …" if count > _SHOWN else ""
        yield found(
            Code.SLOTS_GAP,
            f"backend {backend}",
            f"{count} numbers between {prefix}{first} and {prefix}{last} have no slot "
            f"({span}): two lines, or a server that was deleted at run time",
            f"number them on one line, `server-template {prefix} 1-{len(slots)} …`",
            section=evidence.section_of(proxy, backend),
        )


def _slot(lookup: _Lookup, slot: Server, stat: Stat | None) -> Iterator[Finding]:
    if slot.is_free:
        return
    place = (slot.ref.backend, slot.address, slot.port)
    if lookup.evidence.knows_docker and place not in lookup.desired:
        yield _stray(lookup, slot)
    elif is_held(slot):
        yield _held(lookup, slot)
    elif slot.admin is AdminState.READY and stat is not None:
        check = stat.check_status.removeprefix("* ")
        if stat.status.startswith("DOWN") and check not in _PASSED:
            yield _down(lookup, slot, stat)


def _stray(lookup: _Lookup, slot: Server) -> Finding:
    return found(
        Code.SLOT_STRAY,
        str(slot.ref),
        f"{slot.admin.value} at {_place(slot)}, where no container lives that belongs "
        f"into backend {slot.ref.backend}",
        "the daemon's next pass frees it: is it running, with these settings? "
        "`reconciler plan` shows what it would do",
        section=lookup.section_of(slot),
    )


def _held(lookup: _Lookup, slot: Server) -> Finding:
    age = age_of(slot, lookup.evidence.world.now)
    since = "" if age is None else f" for {duration(age)}"
    return found(
        Code.SLOT_HELD,
        str(slot.ref),
        f"{lookup.who(slot)} is in {slot.admin.value} by hand{since}",
        f"`reconciler ready {slot.ref}` puts it back",
        section=lookup.section_of(slot),
    )


def _down(lookup: _Lookup, slot: Server, stat: Stat) -> Finding:
    check = stat.check_status.removeprefix("* ")
    words = [stat.values.get("check_desc", ""), stat.last_check]
    said = ": ".join(word for word in words if word)
    code = Code.SLOT_DOWN
    mend = (
        "mend what the check asks of the container: HAProxy's `option httpchk` or "
        "`http-check` lines in this backend, and the container's own log"
    )
    elsewhere = _elsewhere_mend(slot, *_check_place(lookup, slot, stat))
    if check == "L4CON":
        code = Code.SLOT_REFUSED
        mend = elsewhere or (
            f"nothing listens there on port {slot.port}: name the port by label "
            '`haproxy.port: "PORT"`, or have the program listen on 0.0.0.0'
        )
    elif check == "L4TOUT":
        code = Code.SLOT_UNREACHABLE
        mend = elsewhere or (
            "attach HAProxy and the container to one network, and name that by label "
            '`haproxy.network: "NAME"` where the container is on several'
        )
    return found(
        code,
        str(slot.ref),
        f"{lookup.who(slot)} fails HAProxy's check: {check}, {said}",
        mend,
        section=lookup.section_of(slot),
    )


def _check_place(lookup: _Lookup, slot: Server, stat: Stat) -> tuple[str, int]:
    """Return where a slot's check goes: '' for its own address, and the port."""
    address, port = lookup.proxy.check_places.get(slot.ref, ("", 0))
    rule = rule_place(lookup.evidence.ways, slot.ref.backend)
    named = _STEP_PORT.search(stat.last_check)
    asked = named[1] if named else rule.get("port", "")
    return rule.get("addr", address), int(
        asked
    ) if asked.isdecimal() else port or slot.port


def _elsewhere_mend(slot: Server, address: str, port: int) -> str:
    """Return what to do about a check that does not go where requests go; '' if it does."""
    if address:
        return (
            f"the check does not go there, but to {address} port {port}: remove `addr` from "
            "the slots' line, or from the `connect` rule of the check"
        )
    if port != slot.port:
        return (
            f"the check does not go there, but to port {port}: remove `port {port}` from the "
            "slots' line, or from the `connect` rule of the check; or have the program "
            "listen there, on 0.0.0.0"
        )
    return ""


def _place(slot: Server) -> str:
    address = f"[{slot.address}]" if ":" in slot.address else slot.address
    return f"{address}:{slot.port}"


_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def duration(seconds: float) -> str:
    """Return a duration as people say it: ``3 h``, ``45 s``."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def _without_slots(evidence: Evidence, proxy: ProxyReading) -> Iterator[Finding]:
    """Find backends named as a service that have no slots anywhere."""
    prefix = evidence.settings.slot_prefix
    filled = {name for one in evidence.proxies for name in one.slots(prefix)}
    known = {stat.proxy for stat in proxy.stats if stat.server == "BACKEND"} - filled
    services: dict[str, str] = {}
    claims = evidence.world.claims
    for container in claims.containers.values():
        wanted = backends_of(container, claims.context)
        enabled = is_enabled(container)
        is_out = isinstance(enabled, Found) and not enabled.value
        names = wanted.value if isinstance(wanted, Found) and not is_out else []
        if names == [container.service] and names[0] in known:
            services.setdefault(names[0], container.name)
    for backend, container_name in sorted(services.items()):
        yield found(
            Code.BACKEND_WITHOUT_SLOTS,
            f"backend {backend}",
            f"named as the service of container {container_name}, and has no slots",
            f"add `server-template {prefix} 1-32 127.255.255.1:PORT check disabled` to "
            "it; or, where it is filled by hand, give the service label `haproxy.enable: "
            '"false"`',
            section=evidence.section_of(proxy, backend),
        )
