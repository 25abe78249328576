"""Metrics: late, wrong, short of slots, failed; each number moves when it must, only then."""

from __future__ import annotations

import asyncio
import dataclasses
import platform
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.fakes.containers import container, tables
from tests.fakes.loop import Loop, looping
from tests.fakes.proxy import FakeProxy

from reconciler import __version__
from reconciler.core.model import AdminState, Cause, ServerRef, SetAddress
from reconciler.core.touched import Touched
from reconciler.errors import (
    ConnectError,
    LocalProtocolError,
    PermissionDeniedError,
    RemoteProtocolError,
    ReplyTimeoutError,
    RuntimeSocketError,
)
from reconciler.metrics import FAILURES, Metrics
from reconciler.metrics.gauges import Scrape
from reconciler.ports import EVENT_ACTIONS
from reconciler.status import PassReport


NAME = "unix:///fake"
ONE, TWO, THREE = container(1), container(2), container(3)
Samples = dict[str, dict[tuple[str, ...], float]]


def told(scrape: Scrape) -> Samples:
    """Return what a scrape tells: by name, then by label values in order of their names."""
    found: Samples = {}
    for family in text_string_to_metric_families(scrape.text().decode()):
        for sample in family.samples:
            values = tuple(v for _, v in sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[values] = sample.value
    return found


def now(loop: Loop) -> Samples:
    """Return what a scrape tells now."""
    return told(loop.metrics.scrape())


async def test_every_enumerable_series_is_there_before_anything_happened() -> None:
    """Causes, actions and names are known beforehand, so their series begin at zero."""
    async with looping(FakeProxy(), is_informed=False) as loop:
        shown = now(loop)

    assert shown["reconciler_pass_failures_total"] == {
        (cause, NAME): 0 for cause in FAILURES
    }
    assert shown["reconciler_docker_events_total"] == {
        (action,): 0 for action in EVENT_ACTIONS
    }
    for name in (
        "reconciler_haproxy_connects_total",
        "reconciler_last_converged_timestamp_seconds",
        "reconciler_observed_generation",
    ):
        assert shown[name] == {(NAME,): 0}
    for name in (
        "reconciler_docker_losses_total",
        "reconciler_docker_list_timestamp_seconds",
        "reconciler_desired_generation",
        "reconciler_event_loop_lag_seconds_count",
        "reconciler_streams",
        "reconciler_journal_entries_total",
    ):
        assert shown[name] == {(): 0}
    assert "reconciler_haproxy_info" not in shown


async def test_no_series_tells_when_a_counter_was_made() -> None:
    """The library would add one to each: they only cost room."""
    assert not [name for name in told(Metrics([NAME]).scrape()) if "_created" in name]


async def test_which_versions_run() -> None:
    """Ours, Python's, HAProxy's, and since when that HAProxy runs."""
    proxy = FakeProxy(version="2.8.25")
    async with looping(proxy) as loop:
        await loop.reporter.until_passes(1)
        shown = now(loop)
        proxy.replace_worker()
        loop.workers[0].observe_again("the test says so")
        await loop.reporter.until_passes(2)
        later = now(loop)

    build = {(platform.python_version(), __version__): 1}
    assert shown["reconciler_build_info"] == build
    assert shown["reconciler_haproxy_info"] == {(NAME, "2.8.25"): 1}
    assert shown["reconciler_haproxy_start_time_seconds"] == {(NAME,): 1001}
    assert later["reconciler_haproxy_start_time_seconds"] == {(NAME,): 1002}


async def test_the_process_itself_is_measured() -> None:
    """Memory, descriptors and the start time come from /proc."""
    shown = told(Metrics([]).scrape())

    assert shown["process_resident_memory_bytes"][()] > 1e6
    assert shown["process_open_fds"][()] < shown["process_max_fds"][()]
    assert shown["process_start_time_seconds"][()] < time.time()


async def test_slots_are_counted_with_their_capacity_and_holds() -> None:
    """Servers that are no slots count nowhere; a backend without slots has no series."""
    proxy = FakeProxy(slots=4, backends=("web", "api"))
    proxy.tables["static"] = {"sorry": proxy.tables["web"]["sorry"]}
    async with looping(proxy, containers=(ONE, TWO)) as loop:
        await loop.reporter.until_passes(1)
        proxy.set(ServerRef("web", "slot1"), admin=AdminState.DRAIN)
        loop.workers[0].observe_again("the test says so")
        await loop.reporter.until_passes(2)
        shown = now(loop)

    slots = shown["reconciler_slots"]
    assert {key for key, count in slots.items() if count} == {
        ("api", NAME, "free"),
        *(("web", NAME, state) for state in ("free", "drain", "ready")),
    }
    assert slots["web", NAME, "free"] == 2
    assert shown["reconciler_slots_capacity"] == {("api", NAME): 4, ("web", NAME): 4}
    assert shown["reconciler_slots_held"] == {("api", NAME): 0, ("web", NAME): 1}


async def test_every_cause_of_a_backend_with_slots_has_a_series() -> None:
    """Zero says that nobody is unplaced; a container without a backend is told, too."""
    lost = container(4, labels={"haproxy.backend": "nowhere"})
    async with looping(FakeProxy(slots=1), containers=(ONE, TWO, lost)) as loop:
        await loop.reporter.until_passes(1)
        shown = now(loop)["reconciler_unplaced"]

    assert {cause for backend, cause, _ in shown if backend == "web"} == {
        cause.value for cause in Cause
    }
    assert {key: count for key, count in shown.items() if count} == {
        ("web", "no_slot", NAME): 1,
        ("nowhere", "unknown_backend", NAME): 1,
    }


ERRORS = [
    (ConnectError("x"), "connect"),
    (ReplyTimeoutError("x"), "timeout"),
    (RemoteProtocolError("x"), "protocol"),
    (LocalProtocolError("x"), "protocol"),
    (PermissionDeniedError("x", command="", reply=""), "refused"),
    (RuntimeSocketError("x"), "other"),
]


@pytest.mark.parametrize(("error", "cause"), ERRORS, ids=lambda one: repr(one)[:20])
async def test_a_failed_pass_is_counted_by_its_cause(
    error: RuntimeSocketError, cause: str
) -> None:
    """Each kind of error has its word, and no pass is counted twice."""
    async with looping(FakeProxy(), is_informed=False) as loop:
        loop.metrics.passed(
            PassReport(
                worker=loop.controller.workers[0],
                reason="event",
                outcome=None,
                error=error,
                seconds=0.1,
                event_at=None,
            )
        )
        failures = now(loop)["reconciler_pass_failures_total"]

    assert {key: count for key, count in failures.items() if count} == {
        (cause, NAME): 1
    }


async def test_the_time_of_the_last_converged_pass() -> None:
    """It moves with every pass that leaves nothing undone, and with no other."""
    proxy = FakeProxy()
    async with looping(proxy) as loop:
        await loop.reporter.until_passes(1)
        first = now(loop)["reconciler_last_converged_timestamp_seconds"][NAME,]
        proxy.refuses = lambda action: isinstance(action, SetAddress)
        loop.start(ONE)
        await loop.reporter.until_passes(2)
        refused = now(loop)["reconciler_last_converged_timestamp_seconds"][NAME,]
        proxy.refuses = lambda _: False
        await loop.reporter.until(
            lambda: loop.controller.workers[0].has_converged, "another try"
        )
        last = now(loop)["reconciler_last_converged_timestamp_seconds"][NAME,]

    assert time.time() - 5 < first == refused < last <= time.time()


async def test_what_is_desired_and_what_haproxy_has_are_told_apart() -> None:
    """While HAProxy does not answer, the observed generation stays behind."""
    proxy = FakeProxy()
    async with looping(proxy, containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        before = now(loop)
        proxy.gate.clear()
        loop.start(TWO)
        behind = now(loop)
        proxy.gate.set()
        await loop.reporter.until_passes(2)
        after = now(loop)

    pairs = [
        (
            shown["reconciler_desired_generation"][()],
            shown["reconciler_observed_generation"][NAME,],
        )
        for shown in (before, behind, after)
    ]
    assert pairs == [(1, 1), (2, 1), (2, 2)]


async def test_sessions_with_haproxy_are_counted() -> None:
    """The first one, and each that was opened after one had ended: by the same process."""
    proxy = FakeProxy()
    async with looping(proxy) as loop:
        await loop.reporter.until_passes(1)
        first = now(loop)["reconciler_haproxy_connects_total"]
        proxy.end_session()
        await loop.reporter.until_passes(2)
        shown = now(loop)

    assert first == {(NAME,): 1}
    assert shown["reconciler_haproxy_connects_total"] == {(NAME,): 2}
    assert shown["reconciler_haproxy_process_changes_total"] == {(NAME,): 0}


async def test_losses_of_docker_are_counted_once_each() -> None:
    """Not being there at the start is no loss, and another reason is no other loss."""
    async with looping(FakeProxy(), is_informed=False) as loop:
        seen = []
        for reason in (None, "a", "b", None, None, "a"):
            if reason is None:
                loop.controller.listed()
            else:
                loop.controller.engine_lost(reason)
            seen.append(now(loop)["reconciler_docker_losses_total"][()])

    assert seen == [0, 1, 1, 1, 1, 2]


async def test_an_engine_that_was_never_there_was_not_lost() -> None:
    """The daemon may start first; `reconciler_docker_up` tells of it."""
    async with looping(FakeProxy(), is_informed=False) as loop:
        loop.controller.engine_lost("nobody listens")

        assert now(loop)["reconciler_docker_losses_total"] == {(): 0}


async def test_lists_and_events_of_docker_are_told() -> None:
    """When all was last listed, and what came, by action."""
    async with looping(FakeProxy()) as loop:
        for action in ("start", "die", "start"):
            loop.controller.heard(action)
        shown = now(loop)

    listed_at = shown["reconciler_docker_list_timestamp_seconds"][()]
    assert time.time() - 5 < listed_at <= time.time()
    events = shown["reconciler_docker_events_total"]
    assert {key: count for key, count in events.items() if count} == {
        ("start",): 2,
        ("die",): 1,
    }


async def test_how_often_all_is_read_is_told() -> None:
    """Alerts on times need it: an operator may have chosen another interval."""
    async with looping(FakeProxy(), resync_seconds=7.0) as loop:
        assert now(loop)["reconciler_resync_interval_seconds"] == {(NAME,): 7}


async def test_lateness_counts_from_the_event_through_failed_passes() -> None:
    """A container that came while HAProxy was away is as late as it is, not as the retry."""
    proxy = FakeProxy()
    async with looping(proxy) as loop:
        await loop.reporter.until_passes(1)
        proxy.is_dead = True
        proxy.end_session()
        loop.start(ONE, at=time.time() - 20)
        await loop.reporter.until(
            lambda: any(one.error for one in loop.reporter.passes), "a failure"
        )
        proxy.is_dead = False
        await loop.reporter.until(
            lambda: loop.controller.workers[0].has_converged, "the return"
        )
        shown = now(loop)

    assert shown["reconciler_event_to_applied_seconds_count"] == {(NAME,): 1}
    assert 20 <= shown["reconciler_event_to_applied_seconds_sum"][NAME,] < 25


async def test_an_event_that_changed_nothing_is_not_late() -> None:
    """Only what had to be applied counts."""
    async with looping(FakeProxy(), containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        loop.workers[0].wake(Touched({"web": {}}), at=time.time() - 20)
        await loop.reporter.until_passes(2)

        assert now(loop)["reconciler_event_to_applied_seconds_count"] == {(NAME,): 0}


async def test_the_lag_of_the_loop_is_measured() -> None:
    """Whatever holds the loop up shows as lag."""
    metrics = Metrics([])
    measuring = asyncio.create_task(metrics.run(beat_seconds=0.005))
    await asyncio.sleep(0)
    time.sleep(0.06)  # noqa: ASYNC251 - it holds the loop up, on purpose
    await asyncio.sleep(0.005)  # its timer is due before this one
    measuring.cancel()
    shown = told(metrics.scrape())["reconciler_event_loop_lag_seconds_bucket"]

    assert shown["0.05",] < shown["+Inf",]


def _many(backends: int, slots: int) -> Loop:
    loop = Loop(FakeProxy())
    found = tables(slots, backends=[f"backend{n}" for n in range(backends)])
    for servers in found.values():
        for number, server in enumerate(list(servers.values())):
            if number % 2:
                servers[server.ref.server] = dataclasses.replace(
                    server, address=f"10.0.{number // 250}.1", admin=AdminState.READY
                )
    loop.workers[0].status.tables = found
    return loop


async def test_a_scrape_of_10000_slots_holds_the_loop_up_for_milliseconds() -> None:
    """About 7 ms on a quiet core; a busy machine gets room."""
    loop = _many(100, 100)
    best = min(_seconds(loop) for _ in range(5))

    assert best < 0.05


def _seconds(loop: Loop) -> float:
    began = time.perf_counter()
    loop.metrics.scrape()
    return time.perf_counter() - began


async def test_what_was_scraped_no_longer_depends_on_the_workers() -> None:
    """A thread turns it into text while passes go on: it tells of the moment of the scrape."""
    async with looping(FakeProxy(), containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        scrape = loop.metrics.scrape()
        loop.start(TWO)
        await loop.reporter.until_passes(2)
        loop.workers[0].status.tables.clear()

        assert told(scrape)["reconciler_slots"]["web", NAME, "ready"] == 1
