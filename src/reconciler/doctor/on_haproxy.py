"""Each HAProxy's process and runtime socket: reach, level, version, and who else it is."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from reconciler.core.membership import SERVICE_NAME
from reconciler.doctor.evidence import Evidence, ProxyReading
from reconciler.doctor.finding import Code, Finding, found
from reconciler.doctor.on_docker import meant, socket_mounted
from reconciler.errors import (
    ConnectError,
    PermissionDeniedError,
    RemoteProtocolError,
    ReplyTimeoutError,
    RuntimeSocketError,
    quoted,
)
from reconciler.haproxy.versions import reuse_needs_idle


_OLDEST = (2, 6, 0)
_OTHERS_MAY_WRITE = 0o002
_GROUP_MAY_WRITE = 0o020
_STATS_SOCKET = "`stats socket PATH mode 660 level admin`"
FOUND = "haproxies found"
_SHARE = (
    f"start HAProxy with {_STATS_SOCKET} in its `global` section, and share the socket's "
    "folder with it through a volume; or correct --haproxy"
)
_START = (
    "start HAProxy: the socket is what a former process left behind. If it does run, mount "
    "the socket's folder here, not the socket"
)
_UNOPENED = {
    errno.ENOENT: (Code.HAPROXY_ABSENT, _SHARE),
    errno.ECONNREFUSED: (Code.HAPROXY_DOWN, _START),
}


def of_sources(evidence: Evidence) -> Iterator[Finding]:
    """Say which HAProxies that should be found are not, and why."""
    mend = (
        "start HAProxy with that label, or as that service; or correct --haproxy"
        if evidence.knows_docker
        else "make docker readable: HAProxies are found among its containers"
    )
    for problem in evidence.world.problems:
        hint = _meant_by(evidence, problem)
        yield found(
            Code.HAPROXY_NOT_FOUND, "--haproxy", problem, hint + mend, section=FOUND
        )


def _meant_by(evidence: Evidence, problem: str) -> str:
    """Return the question for what a source that finds nothing may have meant."""
    containers = evidence.world.claims.containers.values()
    for source in evidence.settings.sources:
        label = SERVICE_NAME if source.kind == "swarm" else source.name
        wanted = source.name if source.kind == "swarm" else source.value
        if wanted and problem.endswith(f" {source.text}"):
            values = (one.labels.get(label) for one in containers)
            return meant(wanted, {one for one in values if one})
    return ""


def section_of(proxy: ProxyReading) -> str:
    """Return the heading of a HAProxy."""
    return f"haproxy {proxy.name}"


def of_proxy(evidence: Evidence, proxy: ProxyReading) -> Iterator[Finding]:
    """Say how one HAProxy can be reached, and what it is."""
    section, seen = section_of(proxy), proxy.socket
    if seen is not None and seen.is_mounted:
        yield socket_mounted(section, seen)
    if proxy.world.observed is None:
        yield _not_read(proxy)
        return
    yield from _process(proxy)
    yield _level(proxy)
    if seen is not None and seen.mode is not None and seen.mode & _OTHERS_MAY_WRITE:
        yield found(
            Code.SOCKET_WORLD_WRITABLE,
            seen.path,
            f"mode {seen.mode:o}: every user of this machine may change HAProxy",
            "write `mode 660` on its `stats socket` line, and `group NAME` for who may",
            section=section,
        )
    yield from _same_process(evidence, proxy)
    yield from _any_slots(evidence, proxy)


def _process(proxy: ProxyReading) -> Iterator[Finding]:
    section, observed = section_of(proxy), proxy.world.observed
    if observed is None:
        return
    process = observed.process
    where = proxy.world.container
    said = f"haproxy {process.version}, pid {process.pid}"
    said += f", found in container {where}" if where else ""
    if process.release < _OLDEST:
        mend = "upgrade HAProxy: 2.6 is the oldest release that was tried"
        yield found(Code.HAPROXY_OLD, proxy.name, said, mend, section=section)
    else:
        yield found(Code.HAPROXY, proxy.name, said, section=section)
    if reuse_needs_idle(process.release):
        yield found(
            Code.IDLE_REUSE,
            proxy.name,
            "this release may reuse a former tenant's connections, so a slot is given "
            "away only when it has none left",
            "with 2.8.25, 3.0.11, 3.1 or later there is no such wait",
            section=section,
        )
    processes = proxy.values.get("Nbproc", "1")
    if processes not in {"0", "1"}:
        yield found(
            Code.HAPROXY_NBPROC,
            proxy.name,
            f"{processes} processes, each with servers of its own: only the one behind "
            "this socket is kept",
            "write `nbproc 1` (and `nbthread`) in `global`, or give each process a socket "
            "by `process N` and name all of them with --haproxy",
            section=section,
        )


def _level(proxy: ProxyReading) -> Finding:
    section = section_of(proxy)
    if proxy.refusal is None:
        said = "may change servers (level admin)"
        return found(Code.HAPROXY_LEVEL, proxy.name, said, section=section)
    if isinstance(proxy.refusal, PermissionDeniedError):
        return _too_low(proxy, proxy.refusal)
    return _broken(proxy, proxy.refusal)


def _too_low(proxy: ProxyReading, refusal: PermissionDeniedError) -> Finding:
    level = f" (level {proxy.level})" if proxy.level else ""
    return found(
        Code.LEVEL_TOO_LOW,
        proxy.name,
        f"may not change servers{level}: haproxy answered {quoted(refusal.reply)}",
        "write `level admin` on its `stats socket` line and restart HAProxy",
        section=section_of(proxy),
    )


def _not_read(proxy: ProxyReading) -> Finding:
    error = proxy.world.error
    if error is None:
        error = RuntimeSocketError("it was not read")
    if isinstance(error, PermissionDeniedError):
        return _too_low(proxy, error)
    reason = getattr(error.__cause__, "errno", None)
    if isinstance(error, ConnectError) and reason in {errno.EACCES, errno.EPERM}:
        return _not_permitted(proxy, error)
    if isinstance(error, ConnectError) and reason in _UNOPENED:
        code, mend = _UNOPENED[reason]
        return found(code, proxy.name, str(error), mend, section=section_of(proxy))
    return _broken(proxy, error)


def _not_permitted(proxy: ProxyReading, error: RuntimeSocketError) -> Finding:
    seen = proxy.socket
    mend = (
        "let this user into the socket's folder and its group: `mode 660 group NAME` on "
        'its `stats socket` line, and `group_add: ["GID"]` here'
    )
    if seen is not None and seen.mode is not None and seen.group is not None:
        mend = f'run in its group: `group_add: ["{seen.group}"]` in this service'
        if not seen.mode & _GROUP_MAY_WRITE:
            mend = (
                f"its mode is {seen.mode:o}: write `mode 660` on its `stats socket` line, "
                f"restart HAProxy, and {mend}"
            )
    return found(
        Code.HAPROXY_PERMISSION, proxy.name, str(error), mend, section=section_of(proxy)
    )


def _broken(proxy: ProxyReading, error: RuntimeSocketError) -> Finding:
    code, mend = Code.HAPROXY_ERROR, "correct --haproxy, or look at HAProxy's own log"
    if isinstance(error, ReplyTimeoutError) or isinstance(
        error.__cause__, TimeoutError
    ):
        code = Code.HAPROXY_SILENT
        mend = (
            "raise `stats maxconn` (default 10) in `global` if other programs hold all "
            "its connections; else HAProxy is stuck: look at its log"
        )
    elif isinstance(error, RemoteProtocolError):
        code = Code.NOT_A_HAPROXY
        mend = (
            f"correct --haproxy: it must be the socket of a {_STATS_SOCKET} line (for a "
            "master's socket: `master+unix://PATH`)"
        )
    elif "is stopping" in str(error):
        code = Code.HAPROXY_STOPPING
        mend = "start HAProxy again, or wait until its new worker has taken the socket over"
    return found(code, proxy.name, str(error), mend, section=section_of(proxy))


def _same_process(evidence: Evidence, proxy: ProxyReading) -> Iterator[Finding]:
    """Find another URL, before this one, that leads to the same process."""
    observed = proxy.world.observed
    for other in evidence.proxies:
        if other is proxy or observed is None:
            return
        theirs = other.world.observed
        if theirs is None or not observed.process.is_same(theirs.process):
            continue
        if observed.process.name == theirs.process.name:
            yield found(
                Code.SAME_PROCESS,
                proxy.name,
                f"the same process as {other.name} (pid {observed.process.pid}): every "
                "change would be made twice",
                f"remove one of the two from --haproxy, for example `{proxy.name}`",
                section=section_of(proxy),
            )


def _any_slots(evidence: Evidence, proxy: ProxyReading) -> Iterator[Finding]:
    prefix = evidence.settings.slot_prefix
    with_slots = proxy.slots(prefix)
    if with_slots:
        count = sum(map(len, with_slots.values()))
        said = f"{count} slots in {len(with_slots)} backends"
        yield found(Code.HAPROXY_SLOTS, proxy.name, said, section=section_of(proxy))
        return
    yield found(
        Code.NO_SLOTS,
        proxy.name,
        f"no backend has servers named {prefix}1, {prefix}2, …",
        f"add `server-template {prefix} 1-32 127.255.255.1:PORT check disabled` to the "
        "backend, or correct --slot-prefix",
        section=section_of(proxy),
    )
