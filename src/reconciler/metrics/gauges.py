"""A scrape: what was counted, as metric families and as Prometheus' text."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from reconciler import __version__
from reconciler.core.model import Cause, KeptFor
from reconciler.core.view import STATES
from reconciler.metrics.snapshot import HaproxyCounts, Snapshot
from reconciler.ports import EVENT_ACTIONS


class Scrape:
    """One answer to Prometheus."""

    def __init__(self, registry: Collector, snapshot: Snapshot | None) -> None:
        """``registry`` has the counters, which lock themselves."""
        self._registry = registry
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Return every family: what prometheus-client calls a collector."""
        yield from self._registry.collect()
        if self._snapshot is not None:
            yield from _of_daemon(self._snapshot)
            yield from _of_haproxies(self._snapshot.haproxies)
            yield from _of_slots(self._snapshot.haproxies)

    def text(self) -> bytes:
        """Return Prometheus' text format. May be called in any thread."""
        return generate_latest(self)


def _of_daemon(snapshot: Snapshot) -> Iterator[Metric]:
    build = _gauge("build_info", "The running version.", "version", "python")
    build.add_metric([__version__, platform.python_version()], 1)
    yield build
    yield _value(
        "docker_up",
        "Whether Docker is followed right now.",
        snapshot.is_docker_followed,
    )
    yield _value(
        "docker_list_timestamp_seconds",
        "When all containers were last listed; 0 before the first list.",
        snapshot.listed_at,
    )
    yield _value(
        "containers", "Running containers that are known.", snapshot.containers
    )
    yield _value(
        "desired_generation",
        "Rises with every change of what the containers ask for.",
        snapshot.generation,
    )
    yield CounterMetricFamily(
        "reconciler_resync_corrections",
        "Containers that a resync corrected since the start: events that were missed.",
        value=snapshot.corrections,
    )
    events = CounterMetricFamily(
        "reconciler_docker_events",
        "Events that Docker sent, replayed ones left out.",
        labels=["action"],
    )
    for action in EVENT_ACTIONS:
        events.add_metric([action], snapshot.events.get(action, 0))
    yield events
    yield _value(
        "haproxies_missing",
        "Sources that find no HAProxy, or only containers without an address.",
        snapshot.missing,
    )
    yield _value("streams", "Streams of events that are read.", snapshot.streams)
    yield CounterMetricFamily(
        "reconciler_journal_entries",
        "What was noted in the journal of /api/events.",
        value=snapshot.entries,
    )


def _of_haproxies(haproxies: tuple[HaproxyCounts, ...]) -> Iterator[Metric]:
    version = _gauge(
        "haproxy_info", "The HAProxy that answered last.", "haproxy", "version"
    )
    started = _gauge(
        "haproxy_start_time_seconds",
        "When the HAProxy process that answered last was started.",
        "haproxy",
    )
    for one in haproxies:
        if one.process is not None:
            version.add_metric([one.name, one.process.version], 1)
            started.add_metric([one.name], one.process.start_time)
    connects = CounterMetricFamily(
        "reconciler_haproxy_connects",
        "How often a session on HAProxy's runtime socket was opened.",
        labels=["haproxy"],
    )
    for one in haproxies:
        connects.add_metric([one.name], one.connects)
    yield from (version, started, connects)
    for name, text, value in _OF_EACH:
        family = _gauge(name, text, "haproxy")
        for one in haproxies:
            family.add_metric([one.name], value(one))
        yield family


_OF_EACH: tuple[tuple[str, str, Callable[[HaproxyCounts], float]], ...] = (
    ("haproxy_up", "Whether HAProxy answers.", lambda h: h.is_reached),
    (
        "converged",
        "Whether the last pass left nothing undone.",
        lambda h: h.has_converged,
    ),
    (
        "observed_generation",
        "The desired generation that the last pass brought to HAProxy.",
        lambda h: h.generation,
    ),
    (
        "resync_interval_seconds",
        "How often at least HAProxy's table is read.",
        lambda h: h.resync_seconds,
    ),
)


def _of_slots(haproxies: tuple[HaproxyCounts, ...]) -> Iterator[Metric]:
    slots = _gauge("slots", "Slots by state.", "haproxy", "backend", "state")
    capacity = _gauge("slots_capacity", "Slots there are.", "haproxy", "backend")
    held = _gauge(
        "slots_held",
        "Slots that an operator took out of rotation by hand.",
        *("haproxy", "backend"),
    )
    unplaced = _gauge(
        "unplaced",
        "Containers that should have a slot and have none, by cause.",
        *("haproxy", "backend", "cause"),
    )
    kept = _gauge(
        "tenants_kept",
        "Containers that keep a slot though nothing asks for them there, by cause.",
        *("haproxy", "backend", "cause"),
    )
    for one in haproxies:
        for backend, counted in one.slots.items():
            for state in STATES:
                count = counted.by_state.get(state, 0)
                slots.add_metric([one.name, backend, state], count)
            capacity.add_metric([one.name, backend], counted.capacity)
            held.add_metric([one.name, backend], counted.held)
        zeros = dict.fromkeys(((b, c) for b in one.slots for c in Cause), 0)
        for (backend, cause), count in (zeros | dict(one.unplaced)).items():
            unplaced.add_metric([one.name, backend, cause.value], count)
        for backend in one.slots:
            for why in KeptFor:
                count = one.kept.get((backend, why), 0)
                kept.add_metric([one.name, backend, why.value], count)
    yield from (slots, capacity, held, unplaced, kept)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"reconciler_{name}", text, labels=labels)


def _value(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"reconciler_{name}", text, value=value)
