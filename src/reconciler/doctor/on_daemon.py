"""The daemon: does one answer at ``--listen``, is it ours, and does it keep this map?"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler import __version__
from reconciler.doctor.evidence import DaemonReading, Evidence
from reconciler.doctor.finding import Code, Finding, found


DAEMON = "daemon"


def of_daemon(evidence: Evidence) -> Iterator[Finding]:
    """Say how the daemon is; nothing with ``--listen off``."""
    daemon = evidence.daemon
    if daemon is None:
        return
    if not daemon.is_there:
        yield _absent(evidence, daemon)
        return
    if daemon.error:
        yield found(
            Code.DAEMON_NOT_OURS,
            daemon.place,
            f"something answers there, and it is {daemon.error}",
            "choose another address by `--listen HOST:PORT`, for the daemon and for check",
            section=DAEMON,
        )
        return
    yield _readiness(daemon)
    yield from _differences(evidence, daemon)


def _absent(evidence: Evidence, daemon: DaemonReading) -> Finding:
    pending = sum(len(proxy.plan.changes) for proxy in evidence.world.proxies)
    are = "change is" if pending == 1 else "changes are"
    more = f"; {pending} {are} pending" if pending else ""
    return found(
        Code.DAEMON_ABSENT,
        daemon.place,
        f"no daemon answers there: nobody keeps the map{more}",
        "start `reconciler run`; if it runs, give check the same `--listen`, and run check "
        "in the daemon's container",
        section=DAEMON,
    )


def _readiness(daemon: DaemonReading) -> Finding:
    if daemon.is_ready:
        said = f"runs, version {daemon.version}, ready"
        return found(Code.DAEMON, daemon.place, said, section=DAEMON)
    return found(
        Code.DAEMON_NOT_READY,
        daemon.place,
        f"runs, and is not ready: {'; '.join(daemon.troubles) or 'it has just begun'}",
        "mend what is named; what the daemon sees is not always what check sees: it may "
        "run as another user",
        section=DAEMON,
    )


def _differences(evidence: Evidence, daemon: DaemonReading) -> Iterator[Finding]:
    if daemon.version and daemon.version != __version__:
        yield found(
            Code.DAEMON_VERSION,
            daemon.place,
            f"the daemon is version {daemon.version}, and this is {__version__}",
            "restart the daemon, so that it is the version that is installed",
            section=DAEMON,
        )
    ours = {one.name for one in evidence.proxies}
    if (ours ^ set(daemon.haproxies)) - set(daemon.leaving):
        yield found(
            Code.DAEMON_HAPROXIES,
            daemon.place,
            f"the daemon keeps {', '.join(sorted(daemon.haproxies)) or 'no HAProxy'}, and "
            f"check looked at {', '.join(sorted(ours)) or 'none'}",
            "give both the same --haproxy",
            section=DAEMON,
        )
