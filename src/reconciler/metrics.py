"""What operators alert on: is the map right, how late are we, are slots running out?

Prometheus text by prometheus-client. Counters are fed by passes; gauges are read from the
workers at scrape time, so they cost nothing in between and are never stale.
"""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from reconciler import __version__
from reconciler.controller import Controller
from reconciler.core.plan import slots_of
from reconciler.core.view import STATES, is_held, state_of
from reconciler.worker import PassReport, WorkerStatus


_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
RESULTS = ("converged", "refused", "failed")
KINDS = ("assign", "finish", "release", "drain", "shutdown", "ready", "weight")


class Metrics:
    """All metrics of one daemon, on a registry of their own."""

    def __init__(self, haproxies: Iterable[str]) -> None:
        self.registry = CollectorRegistry()
        self._passes = Counter(
            "reconciler_passes",
            "Reconcile passes by result.",
            ["haproxy", "result"],
            registry=self.registry,
        )
        self._changes = Counter(
            "reconciler_changes",
            "Changes of the slot map that took effect, by kind.",
            ["haproxy", "kind"],
            registry=self.registry,
        )
        self._commands = Counter(
            "reconciler_commands",
            "Runtime commands that change something, by result.",
            ["haproxy", "result"],
            registry=self.registry,
        )
        self._replaced = Counter(
            "reconciler_haproxy_process_changes",
            "How often another HAProxy process answered than before.",
            ["haproxy"],
            registry=self.registry,
        )
        self._pass_seconds = Histogram(
            "reconciler_pass_duration_seconds",
            "How long a pass takes.",
            ["haproxy"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._event_seconds = Histogram(
            "reconciler_event_to_applied_seconds",
            "From Docker's event (the engine's clock) to the end of the pass it caused.",
            ["haproxy"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        for name in haproxies:
            self._start_at_zero(name)

    def _start_at_zero(self, name: str) -> None:
        """Make every series exist from the start, so that rates work from boot."""
        for result in RESULTS:
            self._passes.labels(name, result)
        for kind in KINDS:
            self._changes.labels(name, kind)
        for result in ("done", "refused"):
            self._commands.labels(name, result)
        self._replaced.labels(name)
        self._pass_seconds.labels(name)
        self._event_seconds.labels(name)

    def watch(self, controller: Controller) -> None:
        """Read the gauges from this controller from now on."""
        self.registry.register(_Gauges(controller))

    def passed(self, report: PassReport) -> None:
        """Count one pass."""
        name = report.worker.name
        outcome = report.outcome
        self._pass_seconds.labels(name).observe(report.seconds)
        if outcome is None:
            self._passes.labels(name, "failed").inc()
            return
        result = "converged" if outcome.has_converged else "refused"
        self._passes.labels(name, result).inc()
        self._commands.labels(name, "done").inc(outcome.commands)
        self._commands.labels(name, "refused").inc(len(outcome.refusals))
        for change in outcome.changes:
            self._changes.labels(name, change.kind).inc()
        late = report.late_seconds(time.time())
        if late is not None and outcome.changes:
            self._event_seconds.labels(name).observe(late)

    def reconnected(self, worker: WorkerStatus, why: str) -> None:
        """Count a changed process; the first one is no change."""
        del why
        if worker.process is not None:
            self._replaced.labels(worker.name).inc()

    def docker_lost(self, reason: str) -> None:
        """Nothing to count: whether Docker is followed is a gauge."""

    def docker_followed(self) -> None:
        """Nothing to count: whether Docker is followed is a gauge."""

    def exposition(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _Gauges(Collector):
    """The state of the workers at the moment of the scrape."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily(
            "reconciler_build_info", "The running version.", labels=["version"]
        )
        build.add_metric([__version__], 1)
        yield build
        yield GaugeMetricFamily(
            "reconciler_docker_up",
            "Whether Docker is followed right now.",
            value=self._controller.engine_error is None,
        )
        yield GaugeMetricFamily(
            "reconciler_containers",
            "Running containers that are known.",
            value=len(self._controller.claims.containers),
        )
        yield CounterMetricFamily(
            "reconciler_resync_corrections",
            "Containers that a resync corrected since the start: events that were missed.",
            value=self._controller.corrections,
        )
        yield from self._of_workers(self._controller.workers)

    def _of_workers(self, workers: list[WorkerStatus]) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "reconciler_haproxy_up", "Whether HAProxy answers.", labels=["haproxy"]
        )
        converged = GaugeMetricFamily(
            "reconciler_converged",
            "Whether the last pass left nothing undone.",
            labels=["haproxy"],
        )
        slots = GaugeMetricFamily(
            "reconciler_slots",
            "Slots by state.",
            labels=["haproxy", "backend", "state"],
        )
        held = GaugeMetricFamily(
            "reconciler_slots_held",
            "Slots that an operator took out of rotation by hand.",
            labels=["haproxy", "backend"],
        )
        unplaced = GaugeMetricFamily(
            "reconciler_unplaced",
            "Containers that should have a slot and have none, by cause.",
            labels=["haproxy", "backend", "cause"],
        )
        for worker in workers:
            up.add_metric([worker.name], worker.is_reached)
            converged.add_metric([worker.name], worker.has_converged)
            for backend, states in _slots_by_state(worker):
                for state in STATES:
                    slots.add_metric([worker.name, backend, state], states[state])
                holds = sum(map(is_held, worker.tables[backend].values()))
                held.add_metric([worker.name, backend], holds)
            causes = Tally(
                (u.backend or "", u.cause.value) for u in worker.all_unplaced()
            )
            for (backend, cause), count in sorted(causes.items()):
                unplaced.add_metric([worker.name, backend, cause], count)
        yield from (up, converged, slots, held, unplaced)


def _slots_by_state(worker: WorkerStatus) -> Iterator[tuple[str, Tally[str]]]:
    for backend, servers in worker.tables.items():
        slots = slots_of(servers.values(), worker.slot_prefix)
        if slots:
            yield backend, Tally(state_of(slot) for slot in slots)
