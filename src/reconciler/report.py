"""One log line for each change of the map, and silence when nothing changes."""

from __future__ import annotations

import logging
import time

from reconciler.core.model import Cause, Change
from reconciler.worker import PassReport, Reporter, WorkerStatus


_log = logging.getLogger("reconciler")


_SENTENCES = {
    "assign": "assigned %s to %s",
    "finish": "finished assigning %s to %s",
    "release": "released %s from %s",
    "drain": "drained %s in %s",
    "shutdown": "shut down the sessions of %s in %s",
    "ready": "made %s ready again in %s",
    "weight": "set the weight of %s in %s",
}


class LogReporter:
    """Writes what passes did to the log."""

    def __init__(self) -> None:
        self._passes = 0
        self._told: dict[str, frozenset[tuple[str | None, str, str]]] = {}

    def passed(self, report: PassReport) -> None:
        """Log one pass: its changes, its refusals, its failure, who is newly unplaced."""
        self._passes += 1
        where = {"haproxy": report.worker.name, "pass": self._passes}
        if report.error is not None:
            _log.warning("pass failed: %s", report.error, extra=where)
        if report.outcome is None:
            return
        latency = _latency(report)
        for change in report.outcome.changes:
            extra = where | {"reason": change.reason} | latency
            _log.info(_SENTENCES[change.kind], _tenant(change), change.ref, extra=extra)
        for _, error in report.outcome.refusals:
            _log.error("command refused: %s", error, extra=where)
        if not report.outcome.changes:
            _log.debug(
                "pass found nothing to do", extra=where | {"reason": report.reason}
            )
        self._tell_unplaced(report.worker)

    def reconnected(self, worker: WorkerStatus, why: str) -> None:
        """Log that another HAProxy process answers."""
        first = worker.process is None
        _log.info(
            "connected to haproxy"
            if first
            else "haproxy was replaced: filling it anew",
            extra={"haproxy": worker.name, "reason": why},
        )

    def docker_lost(self, reason: str) -> None:
        """Log once that the map is frozen, and why."""
        _log.warning("docker is not followed at the moment: %s", reason)

    def docker_followed(self) -> None:
        """Log that Docker is followed (again)."""
        _log.info("following docker")

    def _tell_unplaced(self, worker: WorkerStatus) -> None:
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
                    extra={"haproxy": worker.name, "cause": one.cause.value},
                )


def _tenant(change: Change) -> str:
    place = f"{change.address}:{change.port}"
    return f"{change.tenant.container} ({place})" if change.tenant else place


def _latency(report: PassReport) -> dict[str, float]:
    late = report.late_seconds(time.time())
    if late is None:
        return {}
    return {"latency_ms": round(late * 1000, 1)}


class Reporters:
    """Several reporters as one."""

    def __init__(self, *reporters: Reporter) -> None:
        self._reporters = reporters

    def passed(self, report: PassReport) -> None:
        """Tell all."""
        for reporter in self._reporters:
            reporter.passed(report)

    def reconnected(self, worker: WorkerStatus, why: str) -> None:
        """Tell all."""
        for reporter in self._reporters:
            reporter.reconnected(worker, why)

    def docker_lost(self, reason: str) -> None:
        """Tell all."""
        for reporter in self._reporters:
            reporter.docker_lost(reason)

    def docker_followed(self) -> None:
        """Tell all."""
        for reporter in self._reporters:
            reporter.docker_followed()
