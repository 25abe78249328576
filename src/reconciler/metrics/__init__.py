"""What operators alert on: is the map right, how late are we, are slots running out?

Prometheus text by prometheus-client, on a registry of its own. Counters are fed by passes;
gauges are counted at the moment of a scrape (``metrics.snapshot``), so they cost nothing in
between and are never stale; a thread may turn them into text (``metrics.gauges``).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter as PerKind
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NoReturn

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from reconciler.controller import Controller
from reconciler.core.instances import Instance
from reconciler.core.model import Change
from reconciler.errors import (
    CommandRejectedError,
    ConnectError,
    ProtocolError,
    ReplyTimeoutError,
    RuntimeSocketError,
)
from reconciler.metrics.gauges import Scrape
from reconciler.metrics.snapshot import snapshot_of
from reconciler.status import PassReport, WorkerStatus


RESULTS = ("converged", "refused", "failed")
KINDS = ("assign", "finish", "release", "drain", "shutdown", "ready", "weight")
"""Kinds of changes that bring somebody into rotation or out of it: these are told."""

COUNTED_KINDS = ("prepare", *KINDS)
FAILURES = ("connect", "timeout", "protocol", "refused", "other")

BEAT_SECONDS = 1.0
"""How often the loop's lag is measured: one timer a second."""

_PASS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LATE_SECONDS = (
    *(0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
"""Finest where a healthy daemon is (median 4.5 ms, 99th percentile 9.1 ms, `make bench`)."""

_LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)

_FAILURE_OF: tuple[tuple[type[RuntimeSocketError], str], ...] = (
    (ConnectError, "connect"),
    (ReplyTimeoutError, "timeout"),
    (ProtocolError, "protocol"),
    (CommandRejectedError, "refused"),
)

disable_created_metrics()  # type: ignore[no-untyped-call]
"""A second series for each counter, with the time of its birth, which is the daemon's. The
library's only switch is for the whole process."""


class Metrics:
    """All metrics of one daemon, on a registry of their own."""

    def __init__(self, haproxies: Iterable[str]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._controller: Controller | None = None
        self._streams: Callable[[], int] = int
        self._entries: Callable[[], int] = int
        self._is_docker_followed = False
        self._passes = self._counter(
            "passes", "Reconcile passes by result.", "haproxy", "result"
        )
        self._failures = self._counter(
            "pass_failures",
            "Passes in which the conversation with HAProxy broke, by cause.",
            *("haproxy", "cause"),
        )
        self._changes = self._counter(
            "changes",
            "Changes of the slot map that took effect, by kind.",
            *("haproxy", "kind"),
        )
        self._commands = self._counter(
            "commands",
            "Runtime commands that change something, by result.",
            *("haproxy", "result"),
        )
        self._replaced = self._counter(
            "haproxy_process_changes",
            "How often another HAProxy process answered than before.",
            "haproxy",
        )
        self._docker_losses = self._counter(
            "docker_losses",
            "How often Docker was lost after it had been followed.",
        )
        self._converged_at = Gauge(
            "reconciler_last_converged_timestamp_seconds",
            "When the last pass ended that left nothing undone; 0 before the first.",
            ["haproxy"],
            registry=self.registry,
        )
        self._pass_seconds = self._histogram(
            "pass_duration", "How long a pass takes.", _PASS_SECONDS, "haproxy"
        )
        self._writing_seconds = self._histogram(
            "writing_duration",
            "How long it took a pass to have its commands done, read-backs included.",
            _PASS_SECONDS,
            "haproxy",
        )
        self._event_seconds = self._histogram(
            "event_to_applied",
            "From Docker's event (the engine's clock) to the end of the pass that "
            "answered it.",
            _LATE_SECONDS,
            "haproxy",
        )
        self._lag_seconds = self._histogram(
            "event_loop_lag",
            "How much later than asked for the event loop ran a timer, once a second.",
            _LAG_SECONDS,
        )
        for name in haproxies:
            self._start_at_zero(name)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"reconciler_{name}", text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(
            f"reconciler_{name}_seconds",
            text,
            labels,
            buckets=buckets,
            registry=self.registry,
        )

    def _start_at_zero(self, name: str) -> None:
        """Make every series exist from the start, so that rates work from boot."""
        for metric, labels in self._series(name):
            metric.labels(*labels)

    def _end(self, name: str) -> None:
        """Drop every series of a HAProxy that has gone."""
        for metric, labels in self._series(name):
            with suppress(KeyError):
                metric.remove(*labels)

    def _series(
        self, name: str
    ) -> Iterator[tuple[Counter | Gauge | Histogram, tuple[str, ...]]]:
        """Return each metric of a HAProxy, with the labels of each of its series."""
        for metric, words in (
            (self._passes, RESULTS),
            (self._failures, FAILURES),
            (self._changes, COUNTED_KINDS),
            (self._commands, ("done", "refused")),
        ):
            yield from ((metric, (name, word)) for word in words)
        for alone in (
            self._replaced,
            self._converged_at,
            self._pass_seconds,
            self._writing_seconds,
            self._event_seconds,
        ):
            yield alone, (name,)

    def watch(self, controller: Controller) -> None:
        """Read the gauges from this controller from now on."""
        self._controller = controller

    def watch_readers(
        self, *, streams: Callable[[], int], entries: Callable[[], int]
    ) -> None:
        """Ask these for how many streams are read, and how many entries there have been."""
        self._streams, self._entries = streams, entries

    async def run(self, *, beat_seconds: float = BEAT_SECONDS) -> NoReturn:
        """Measure how late the event loop is, ever again. Ends only by cancellation."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + beat_seconds
            await asyncio.sleep(beat_seconds)
            self._lag_seconds.observe(max(0.0, loop.time() - due))

    def passed(self, report: PassReport) -> None:
        """Count one pass."""
        name = report.worker.name
        outcome = report.outcome
        self._pass_seconds.labels(name).observe(report.seconds)
        if outcome is None:
            self._passes.labels(name, "failed").inc()
            self._failures.labels(name, _cause_of(report.error)).inc()
            return
        result = "converged" if outcome.has_converged else "refused"
        self._passes.labels(name, result).inc()
        if outcome.commands:
            self._writing_seconds.labels(name).observe(outcome.writing_seconds)
        self._commands.labels(name, "done").inc(outcome.commands)
        self._commands.labels(name, "refused").inc(len(outcome.refusals))
        now = time.time()
        self.changed(report.worker, outcome.changes, report.late_seconds(now))
        if outcome.has_converged:
            self._converged_at.labels(name).set(now)

    def changed(
        self, worker: WorkerStatus, changes: Sequence[Change], late: float | None
    ) -> None:
        """Count changes, and how late they are."""
        for kind, count in PerKind(change.kind for change in changes).items():
            self._changes.labels(worker.name, kind).inc(count)
        if late is not None and changes:
            self._event_seconds.labels(worker.name).observe(late)

    def reconnected(self, worker: WorkerStatus, why: str) -> None:
        """Count a changed process; the first one is no change."""
        del why
        if worker.process is not None:
            self._replaced.labels(worker.name).inc()

    def haproxy_found(self, worker: WorkerStatus, instance: Instance) -> None:
        """Begin the series of a HAProxy that was found."""
        del instance
        self._start_at_zero(worker.name)

    def haproxy_gone(self, worker: WorkerStatus) -> None:
        """End them: their labels would stay for ever."""
        self._end(worker.name)

    def haproxy_missing(self, problem: str) -> None:
        """Not counted here: a gauge has how many there are."""

    def docker_lost(self, reason: str) -> None:
        """Count a loss; another reason for the same one is no other."""
        del reason
        if self._is_docker_followed:
            self._docker_losses.inc()
        self._is_docker_followed = False

    def docker_followed(self) -> None:
        """Docker may be lost from now on."""
        self._is_docker_followed = True

    def scrape(self) -> Scrape:
        """Take all gauges, at once and on the loop; render them in any thread."""
        controller = self._controller
        if controller is None:
            return Scrape(self.registry, None)
        counts = {"streams": self._streams(), "entries": self._entries()}
        return Scrape(self.registry, snapshot_of(controller, **counts))

    def exposition(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return self.scrape().text()


def _cause_of(error: RuntimeSocketError | None) -> str:
    return next(
        (name for kind, name in _FAILURE_OF if isinstance(error, kind)), "other"
    )
