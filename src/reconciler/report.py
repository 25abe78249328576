"""One log line for each change of the map, and silence when nothing changes."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from reconciler.core.instances import Instance
from reconciler.core.model import Cause, Change, Server, ServerRef, Tenant, Unplaced
from reconciler.status import FULL_READINGS, PassReport, Reporter, WorkerStatus


_log = logging.getLogger("reconciler")

_SHORT_ID = 12
"""As many digits of a container's id as `docker ps` shows."""

_SENTENCES = {
    "prepare": "prepared for %s in %s",
    "assign": "assigned %s to %s",
    "finish": "finished assigning %s to %s",
    "release": "released %s from %s",
    "drain": "drained %s in %s",
    "shutdown": "shut down the sessions of %s in %s",
    "ready": "made %s ready again in %s",
    "weight": "set the weight of %s in %s",
}


class LogReporter:
    """Writes what passes did to the log.

    The fields of a line (its extras) are the contract of docs/operations.md.
    """

    def __init__(self) -> None:
        self._passes = 0
        self._told: dict[str, frozenset[tuple[str | None, str, str]]] = {}
        self._held: dict[str, dict[ServerRef, Server]] = {}
        self._kept: dict[str, frozenset[tuple[ServerRef, str, str]]] = {}
        self._unreached: dict[str, frozenset[str]] = {}

    def passed(self, report: PassReport) -> None:
        """Log one pass: its changes, refusals, failure, who is newly unplaced or held."""
        where = self._where(report.worker)
        self._passes += 1
        if report.error is not None:
            _log.warning("pass failed: %s", report.error, extra=where)
        if report.outcome is None:
            return
        late = report.late_seconds(time.time())
        self._tell_changes(report.outcome.changes, late, where)
        for action, error in report.outcome.refusals:
            extra = _slot(action.ref) | where
            _log.error("command refused: %s", error, extra=extra)
        if not report.outcome.changes:
            reason = {"reason": report.reason}
            _log.debug("pass found nothing to do", extra=reason | where)
        self._tell_unplaced(report.worker, where)
        self._tell_kept(report.worker, where)
        self._tell_unreached(report.worker, where)
        if report.reason in FULL_READINGS:
            self._tell_holds(report.worker, where)

    def changed(
        self, worker: WorkerStatus, changes: Sequence[Change], late: float | None
    ) -> None:
        """Log some changes of a pass that is not over."""
        self._tell_changes(changes, late, self._where(worker))

    def _where(self, worker: WorkerStatus) -> Fields:
        return {"haproxy": worker.name, "pass": self._passes + 1}

    def _tell_changes(
        self, changes: Sequence[Change], late: float | None, where: Fields
    ) -> None:
        if not _log.isEnabledFor(logging.INFO):
            return
        latency: Fields = {} if late is None else {"latency_ms": round(late * 1000, 1)}
        for change in changes:
            level = logging.DEBUG if change.is_preparing else logging.INFO
            sentence = _SENTENCES[change.kind]
            extra = _fields(change) | latency | where
            _log.log(level, sentence, _tenant(change), change.ref, extra=extra)

    def reconnected(self, worker: WorkerStatus, why: str) -> None:
        """Log that another HAProxy process answers."""
        first = worker.process is None
        _log.info(
            "connected to haproxy"
            if first
            else "haproxy was replaced: filling it anew",
            extra={"reason": why, "haproxy": worker.name},
        )

    def haproxy_found(self, worker: WorkerStatus, instance: Instance) -> None:
        """Log that a HAProxy was found, and where."""
        _log.info(
            "found haproxy in container %s",
            instance.container,
            extra={
                "haproxy": worker.name,
                "container": instance.container,
                "container_id": instance.container_id[:_SHORT_ID],
                "reason": instance.source,
            },
        )

    def haproxy_gone(self, worker: WorkerStatus) -> None:
        """Log that a HAProxy has gone."""
        self._told.pop(worker.name, None)
        self._held.pop(worker.name, None)
        self._kept.pop(worker.name, None)
        self._unreached.pop(worker.name, None)
        _log.info("haproxy has gone", extra={"haproxy": worker.name})

    def haproxy_missing(self, problem: str) -> None:
        """Log once why a HAProxy is not found."""
        _log.warning("%s", problem)

    def docker_lost(self, reason: str) -> None:
        """Log once that the map is frozen, and why."""
        _log.warning("docker is not followed at the moment: %s", reason)

    def docker_followed(self) -> None:
        """Log that Docker is followed (again)."""
        _log.info("following docker")

    def _tell_unplaced(self, worker: WorkerStatus, where: Fields) -> None:
        """Say once who has no slot, and again only when that changes."""
        # Who is about to end misses nothing.
        unplaced = [u for u in worker.all_unplaced() if u.cause is not Cause.STOPPING]
        now = frozenset((u.backend, u.tenant.container_id, u.reason) for u in unplaced)
        before = self._told.get(worker.name, frozenset())
        self._told[worker.name] = now
        for one in unplaced:
            if (one.backend, one.tenant.container_id, one.reason) not in before:
                _log.warning(
                    "container %s has no slot in backend %s: %s",
                    one.tenant.container,
                    one.backend,
                    one.reason,
                    extra=_left_out(one) | where,
                )

    def _tell_kept(self, worker: WorkerStatus, where: Fields) -> None:
        """Say once who keeps a slot that nothing asks for, and again when the reason changes."""
        before = self._kept.get(worker.name, frozenset())
        if not (worker.kept or before):
            return
        kept = {
            (ref, one.endpoint.tenant.container_id, one.reason): one
            for ref, one in worker.kept.items()
        }
        self._kept[worker.name] = frozenset(kept)
        for key in sorted(kept.keys() - before):
            one = kept[key]
            endpoint = one.endpoint
            told: Fields = {"cause": one.cause.value, "reason": one.reason}
            extra = _slot(one.ref) | _who(endpoint.tenant)
            extra |= _where(endpoint.address, endpoint.port) | told
            _log.warning(
                "container %s keeps %s, though %s",
                endpoint.tenant.container,
                one.ref,
                one.reason,
                extra=extra | where,
            )

    def _tell_unreached(self, worker: WorkerStatus, where: Fields) -> None:
        """Say once where HAProxy's checks fail though the ports are open to us."""
        now = frozenset(worker.unreached)
        before, self._unreached[worker.name] = (
            self._unreached.get(worker.name, frozenset()),
            now,
        )
        for backend in sorted(now - before):
            _log.warning(
                "haproxy's checks fail in backend %s where we can connect: they alone decide "
                "there, until haproxy is restarted",
                backend,
                extra={"backend": backend} | where,
            )

    def _tell_holds(self, worker: WorkerStatus, where: Fields) -> None:
        """Say what an operator did by hand since the last full reading."""
        now = worker.holds()
        before, self._held[worker.name] = self._held.get(worker.name, {}), now
        for ref in sorted(now.keys() - before.keys()):
            state = now[ref].admin.value
            _log.info(
                "an operator holds %s in %s", ref, state, extra=_held(now[ref]) | where
            )
        for ref in sorted(before.keys() - now.keys()):
            _log.info(
                "no operator holds %s any more", ref, extra=_held(before[ref]) | where
            )


Fields = dict[str, object]


def _slot(ref: ServerRef) -> Fields:
    return {"backend": ref.backend, "slot": ref.server}


def _who(tenant: Tenant | None) -> Fields:
    if tenant is None:
        return {}
    short = tenant.container_id[:_SHORT_ID]
    return {"container": tenant.container, "container_id": short}


def _where(address: str | None, port: int | None) -> Fields:
    return {} if address is None else {"address": _place(address, port)}


def _fields(change: Change) -> Fields:
    fields = {"kind": change.kind} | _slot(change.ref) | _who(change.tenant)
    return fields | _where(change.address, change.port) | {"reason": change.reason}


def _left_out(one: Unplaced) -> Fields:
    told: Fields = {"cause": one.cause.value, "reason": one.reason}
    backend: Fields = {} if one.backend is None else {"backend": one.backend}
    return backend | _who(one.tenant) | _where(one.address, one.port) | told


def _held(slot: Server) -> Fields:
    return _slot(slot.ref) | _where(slot.address, slot.port)


def _place(address: str, port: int | None) -> str:
    host = f"[{address}]" if ":" in address else address
    return host if port is None else f"{host}:{port}"


def _tenant(change: Change) -> str:
    place = _place(change.address, change.port)
    return f"{change.tenant.container} ({place})" if change.tenant else place


class Reporters:
    """Several reporters as one."""

    def __init__(self, *reporters: Reporter) -> None:
        self._reporters = reporters

    def passed(self, report: PassReport) -> None:
        """Tell all."""
        for reporter in self._reporters:
            reporter.passed(report)

    def changed(
        self, worker: WorkerStatus, changes: Sequence[Change], late: float | None
    ) -> None:
        """Tell all."""
        for reporter in self._reporters:
            reporter.changed(worker, changes, late)

    def reconnected(self, worker: WorkerStatus, why: str) -> None:
        """Tell all."""
        for reporter in self._reporters:
            reporter.reconnected(worker, why)

    def haproxy_found(self, worker: WorkerStatus, instance: Instance) -> None:
        """Tell all."""
        for reporter in self._reporters:
            reporter.haproxy_found(worker, instance)

    def haproxy_gone(self, worker: WorkerStatus) -> None:
        """Tell all."""
        for reporter in self._reporters:
            reporter.haproxy_gone(worker)

    def haproxy_missing(self, problem: str) -> None:
        """Tell all."""
        for reporter in self._reporters:
            reporter.haproxy_missing(problem)

    def docker_lost(self, reason: str) -> None:
        """Tell all."""
        for reporter in self._reporters:
            reporter.docker_lost(reason)

    def docker_followed(self) -> None:
        """Tell all."""
        for reporter in self._reporters:
            reporter.docker_followed()
