"""Each backend's slots: are there enough, are they kept, and does HAProxy find them up?"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.model import AdminState, Server
from reconciler.core.placement import Found, backends_of, is_enabled
from reconciler.core.plan import slot_number
from reconciler.core.view import Tenants, age_of, is_held
from reconciler.doctor.evidence import Evidence, ProxyReading
from reconciler.doctor.finding import Code, Finding, found
from reconciler.haproxy.replies import Stat


_PASSED = frozenset({"", "INI", "UNK", "L4OK", "L6OK", "L7OK", "L7OKC", "PROCOK"})
"""Check results that say nothing bad, or nothing yet."""


def of_backends(evidence: Evidence, proxy: ProxyReading) -> Iterator[Finding]:
    """Say how the slots of one HAProxy are, backend by backend."""
    prefix = evidence.settings.slot_prefix
    stats = {(stat.proxy, stat.server): stat for stat in proxy.stats}
    for backend, slots in proxy.slots(prefix).items():
        yield from _counts(evidence, proxy, backend, slots)
        yield from _gaps(evidence, proxy, backend, slots)
        for slot in slots:
            stat = stats.get((backend, slot.ref.server))
            yield from _slot(evidence, proxy, slot, stat)
    yield from _without_slots(evidence, proxy)


def _counts(
    evidence: Evidence, proxy: ProxyReading, backend: str, slots: list[Server]
) -> Iterator[Finding]:
    section, thing = evidence.section_of(proxy, backend), f"backend {backend}"
    free = sum(slot.is_free for slot in slots)
    running = len(proxy.world.desired.endpoints.get(backend, ()))
    text = f"{len(slots)} slots, {free} free"
    more = f"`server-template {evidence.settings.slot_prefix} 1-{_enough(running)} …`"
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


def _enough(running: int) -> int:
    """Return a count of slots: twice what runs and half as much again, in eights."""
    return max(8, -(-running * 5 // 16) * 8)


def _gaps(
    evidence: Evidence, proxy: ProxyReading, backend: str, slots: list[Server]
) -> Iterator[Finding]:
    prefix = evidence.settings.slot_prefix
    numbers = [slot_number(slot.ref.server, prefix) or 0 for slot in slots]
    missing = sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers))
    if missing:
        span = ", ".join(map(str, missing[:5])) + (", …" if missing[5:] else "")
        yield found(
            Code.SLOTS_GAP,
            f"backend {backend}",
            f"{len(missing)} numbers between {prefix}{numbers[0]} and "
            f"{prefix}{numbers[-1]} have no slot ({span}): two lines, or a server that "
            "was deleted at run time",
            f"number them on one line, `server-template {prefix} 1-{len(slots)} …`",
            section=evidence.section_of(proxy, backend),
        )


def _slot(
    evidence: Evidence, proxy: ProxyReading, slot: Server, stat: Stat | None
) -> Iterator[Finding]:
    if slot.is_free:
        return
    endpoints = proxy.world.desired.endpoints.get(slot.ref.backend, ())
    is_desired = any(e.key[1:] == (slot.address, slot.port) for e in endpoints)
    if evidence.knows_docker and not is_desired:
        yield _stray(evidence, proxy, slot)
    elif is_held(slot):
        yield _held(evidence, proxy, slot)
    elif slot.admin is AdminState.READY and stat is not None:
        check = stat.check_status.removeprefix("* ")
        if stat.status.startswith("DOWN") and check not in _PASSED:
            yield _down(evidence, proxy, slot, stat)


def _stray(evidence: Evidence, proxy: ProxyReading, slot: Server) -> Finding:
    return found(
        Code.SLOT_STRAY,
        str(slot.ref),
        f"{slot.admin.value} at {_place(slot)}, where no container lives that belongs "
        f"into backend {slot.ref.backend}",
        "the daemon's next pass frees it: is it running, with these settings? "
        "`reconciler plan` shows what it would do",
        section=evidence.section_of(proxy, slot.ref.backend),
    )


def _held(evidence: Evidence, proxy: ProxyReading, slot: Server) -> Finding:
    age = age_of(slot, evidence.world.now)
    since = "" if age is None else f" for {duration(age)}"
    return found(
        Code.SLOT_HELD,
        str(slot.ref),
        f"{_who(evidence, proxy, slot)} is in {slot.admin.value} by hand{since}",
        f"`reconciler ready {slot.ref}` puts it back",
        section=evidence.section_of(proxy, slot.ref.backend),
    )


def _down(evidence: Evidence, proxy: ProxyReading, slot: Server, stat: Stat) -> Finding:
    check = stat.check_status.removeprefix("* ")
    words = [stat.values.get("check_desc", ""), stat.last_check]
    said = ": ".join(word for word in words if word)
    code = Code.SLOT_DOWN
    mend = (
        "mend what the check asks of the container: HAProxy's `option httpchk` or "
        "`http-check` lines in this backend, and the container's own log"
    )
    if check == "L4CON":
        code = Code.SLOT_REFUSED
        mend = (
            f"nothing listens there on port {slot.port}: name the port by label "
            '`haproxy.port: "PORT"`, or have the program listen on 0.0.0.0'
        )
    elif check == "L4TOUT":
        code = Code.SLOT_UNREACHABLE
        mend = (
            "attach HAProxy and the container to one network, and name that by label "
            '`haproxy.network: "NAME"` where the container is on several'
        )
    return found(
        code,
        str(slot.ref),
        f"{_who(evidence, proxy, slot)} fails HAProxy's check: {check}, {said}",
        mend,
        section=evidence.section_of(proxy, slot.ref.backend),
    )


def _who(evidence: Evidence, proxy: ProxyReading, slot: Server) -> str:
    """Return who lives in a slot, and where."""
    containers = evidence.world.claims.containers.values()
    tenant = Tenants(containers, proxy.world.desired.all_endpoints()).of(slot)
    return f"{tenant.container} ({_place(slot)})" if tenant else _place(slot)


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
