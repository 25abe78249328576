"""What operators see: metrics that parse, readiness that is true, logs that say it once."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.fakes.containers import container
from tests.fakes.loop import Loop, looping
from tests.fakes.proxy import FakeProxy
from tests.support.ports import free_port

from reconciler.core.model import SetAddress
from reconciler.errors import ConfigError
from reconciler.logs import configure_logging
from reconciler.web import application, readiness, serve
from reconciler.web.slots import map_text
from reconciler.web.statistics import Statistics
from reconciler.web.stream import MOST_STREAMS


NAME = "unix:///fake"
ONE, TWO, THREE = container(1), container(2), container(3)
BAD = container(4, labels={"haproxy.port": "70000"})
EXPECTED_WARNING = (
    'container web-4 has no slot in backend web: label "haproxy.port" is "70000": it must '
    "be an integer from 1 to 65535"
)


def samples(loop: Loop) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return the metrics by name and label values (in order of the labels' names)."""
    families = text_string_to_metric_families(loop.metrics.exposition().decode())
    return {
        (sample.name, tuple(v for _, v in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.fixture
def url() -> str:
    """An address to serve on."""
    return f"http://127.0.0.1:{free_port()}"


async def test_every_counter_exists_from_the_start() -> None:
    """A rate works from the first scrape: all series are there, at zero."""
    async with looping(FakeProxy(), is_informed=False) as loop:
        shown = samples(loop)

    for result in ("converged", "refused", "failed"):
        assert shown["reconciler_passes_total", (NAME, result)] == 0
    for kind in ("assign", "finish", "release", "drain", "ready", "weight"):
        assert shown["reconciler_changes_total", (NAME, kind)] == 0
    for result in ("done", "refused"):
        assert shown["reconciler_commands_total", (NAME, result)] == 0
    assert shown["reconciler_haproxy_process_changes_total", (NAME,)] == 0
    assert shown["reconciler_docker_up", ()] == 0
    assert shown["reconciler_haproxy_up", (NAME,)] == 0
    assert shown["reconciler_converged", (NAME,)] == 0


async def test_passes_changes_and_slots_are_counted() -> None:
    """After a first pass and an event, the numbers say exactly what was done."""
    proxy = FakeProxy()
    async with looping(proxy, containers=(ONE, TWO)) as loop:
        await loop.reporter.until_passes(1)
        loop.gone(ONE, at=time.time() - 0.001)
        await loop.reporter.until_passes(2)
        shown = samples(loop)

    assert shown["reconciler_passes_total", (NAME, "converged")] == 2
    assert shown["reconciler_changes_total", (NAME, "assign")] == 2
    assert shown["reconciler_changes_total", (NAME, "release")] == 1
    assert shown["reconciler_commands_total", (NAME, "done")] == len(proxy.writes)
    assert shown["reconciler_commands_total", (NAME, "refused")] == 0
    assert shown["reconciler_slots", ("web", NAME, "ready")] == 1
    assert shown["reconciler_slots", ("web", NAME, "free")] == 3
    assert shown["reconciler_slots", ("web", NAME, "down")] == 0
    assert shown["reconciler_containers", ()] == 1
    assert shown["reconciler_docker_up", ()] == 1
    assert shown["reconciler_haproxy_up", (NAME,)] == 1
    assert shown["reconciler_converged", (NAME,)] == 1
    assert shown["reconciler_pass_duration_seconds_count", (NAME,)] == 2
    assert shown["reconciler_event_to_applied_seconds_count", (NAME,)] == 1
    assert shown["reconciler_event_to_applied_seconds_sum", (NAME,)] > 0.001


async def test_who_has_no_slot_is_counted_by_cause() -> None:
    """Too few slots and bad labels are told apart."""
    proxy = FakeProxy(slots=1)
    async with looping(proxy, containers=(ONE, TWO, THREE, BAD)) as loop:
        await loop.reporter.until_passes(1)
        shown = samples(loop)

    assert shown["reconciler_unplaced", ("web", "no_slot", NAME)] == 2
    assert shown["reconciler_unplaced", ("web", "bad_label", NAME)] == 1


async def test_refusals_failures_and_replacements_are_counted() -> None:
    """Each kind of trouble has its own series."""
    proxy = FakeProxy()
    refusals = iter([True])
    proxy.refuses = lambda action: (
        isinstance(action, SetAddress) and next(refusals, False)
    )
    async with looping(proxy, containers=(ONE,)) as loop:
        await loop.reporter.until_passes(2)
        proxy.is_dead = True
        proxy.end_session()
        await loop.reporter.until(
            lambda: not loop.controller.workers[0].is_reached, "the end"
        )
        dead = samples(loop)
        proxy.is_dead = False
        proxy.restart()
        await loop.reporter.until(
            lambda: loop.controller.workers[0].is_reached, "the return"
        )
        shown = samples(loop)

    assert shown["reconciler_passes_total", (NAME, "refused")] == 1
    assert shown["reconciler_commands_total", (NAME, "refused")] >= 1
    assert shown["reconciler_passes_total", (NAME, "failed")] >= 1
    assert dead["reconciler_haproxy_up", (NAME,)] == 0
    assert dead["reconciler_converged", (NAME,)] == 0
    assert shown["reconciler_haproxy_process_changes_total", (NAME,)] == 1
    assert shown["reconciler_haproxy_up", (NAME,)] == 1


async def test_corrections_of_a_resync_are_counted() -> None:
    """What events missed is a number to alert on; the first list is no correction."""
    async with looping(FakeProxy(), containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        assert samples(loop)["reconciler_resync_corrections_total", ()] == 0
        loop.gone(ONE, at=None)
        loop.start(TWO)
        assert samples(loop)["reconciler_resync_corrections_total", ()] == 2


async def test_readiness_follows_docker_and_every_haproxy() -> None:
    """Ready means: Docker was read, and every HAProxy is reached and converged."""
    proxy, other = FakeProxy(), FakeProxy("unix:///other")
    other.is_dead = True
    async with looping(proxy, other, is_informed=False) as loop:
        is_ready, detail = readiness(loop.controller)
        assert not is_ready
        assert detail["docker"] == {
            "read": False,
            "followed": False,
            "error": "docker was not read yet",
        }

        loop.controller.listed()
        await loop.reporter.until_passes(2)
        is_ready, detail = readiness(loop.controller)
        assert not is_ready
        assert [one["reached"] for one in detail["haproxy"]] == [True, False]
        assert detail["haproxy"][1]["error"] == "cannot connect: nobody listens"

        other.is_dead = False
        await loop.reporter.until(
            lambda: loop.controller.workers[1].has_converged, "the other one"
        )
        is_ready, detail = readiness(loop.controller)
        assert is_ready
        assert (detail["ready"], detail["haproxy"][0]["pid"]) == (True, 1)


async def test_a_lost_engine_is_told_and_does_not_make_us_unready(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The map still stands: restarting us would mend nothing. It is logged once."""
    async with looping(FakeProxy(), containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        for _ in range(3):
            loop.controller.engine_lost("docker at x cannot be reached")
        is_ready, detail = readiness(loop.controller)

        assert is_ready
        assert detail["docker"]["followed"] is False
        assert detail["docker"]["error"] == "docker at x cannot be reached"
        assert samples(loop)["reconciler_docker_up", ()] == 0
        assert caplog.text.count("docker is not followed") == 1

        loop.controller.listed()
        assert samples(loop)["reconciler_docker_up", ()] == 1


async def test_too_few_slots_is_a_detail_of_a_ready_daemon() -> None:
    """Who is left out is counted in the details."""
    async with looping(FakeProxy(slots=1), containers=(ONE, TWO)) as loop:
        await loop.reporter.until_passes(1)
        is_ready, detail = readiness(loop.controller)

    assert is_ready
    assert detail["haproxy"][0]["unplaced"] == 1


async def test_what_is_served(url: str) -> None:
    """Every path answers with what its name says, and nothing can be posted."""
    host, port = "127.0.0.1", int(url.rpartition(":")[2])
    async with looping(FakeProxy(), is_informed=False) as loop:
        runner = await serve(
            application(loop.controller, loop.metrics, loop.journal), host, port
        )
        try:
            async with aiohttp.ClientSession(url) as client:
                async with client.get("/readyz") as answer:
                    assert answer.status == 503
                loop.start(ONE)
                loop.controller.listed()
                await loop.reporter.until_passes(1)
                async with client.get("/readyz") as answer:
                    assert (answer.status, (await answer.json())["ready"]) == (
                        200,
                        True,
                    )
                async with client.get("/healthz") as answer:
                    assert (answer.status, await answer.text()) == (200, "ok\n")
                async with client.get("/metrics") as answer:
                    assert answer.content_type == "text/plain"
                    assert "reconciler_slots{" in await answer.text()
                async with client.get("/api/slots") as answer:
                    shown = await answer.json()
                    assert shown["slots"][0]["container"] == ONE.name
                async with client.get("/") as answer:
                    assert answer.status == 200
                async with client.post("/api/slots") as answer:
                    assert answer.status == 405
        finally:
            await runner.cleanup()


@asynccontextmanager
async def serving(loop: Loop, url: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve a loop for the length of a block, and ask it."""
    port = int(url.rpartition(":")[2])
    served = application(loop.controller, loop.metrics, loop.journal)
    runner = await serve(served, "127.0.0.1", port)
    async with aiohttp.ClientSession(url) as client:
        try:
            yield client
        finally:
            async with asyncio.timeout(5):
                await runner.cleanup()


STREAM = {"Accept": "text/event-stream"}


async def streamed(answer: aiohttp.ClientResponse, count: int) -> list[dict[str, Any]]:
    """Return the next messages of a stream."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(5):
        while len(found) < count:
            line = await answer.content.readline()
            if line.startswith(b"data: "):
                found.append(json.loads(line.removeprefix(b"data: ")))
    return found


async def test_what_happened_is_served(url: str) -> None:
    """All that is remembered, or what came after an id or a time."""
    async with looping(FakeProxy()) as loop, serving(loop, url) as client:
        await loop.reporter.until_passes(1)
        began = time.time()
        loop.start(ONE, at=began)
        await loop.reporter.until_passes(2)
        answers = []
        for query in ("", "?after=2", f"?since={began}", "?after=99"):
            async with client.get(f"/api/events{query}") as answer:
                answers.append(await answer.json())

    everything, after, since, later = (
        [entry["kind"] for entry in one["events"]] for one in answers
    )
    assert everything == ["docker_followed", "haproxy_reached", "assign"]
    assert after == since == ["assign"]
    assert later == []
    assert [one["last_id"] for one in answers] == [3, 3, 3, 3]
    assert answers[0]["events"][2]["container"] == "web-1"


async def test_a_stream_begins_with_what_comes_next(url: str) -> None:
    """Live entries come with their ids; taken up again, it goes on where it was."""
    async with looping(FakeProxy()) as loop, serving(loop, url) as client:
        await loop.reporter.until_passes(1)
        async with client.get("/api/events", headers=STREAM) as answer:
            assert answer.content_type == "text/event-stream"
            await answer.content.readline()
            loop.start(ONE, at=time.time())
            [entry] = await streamed(answer, 1)
            assert entry["kind"] == "assign"
        again = {**STREAM, "Last-Event-ID": str(entry["id"] - 1)}
        async with client.get("/api/events", headers=again) as answer:
            assert await streamed(answer, 1) == [entry]
        async with client.get("/api/events?since=0", headers=STREAM) as answer:
            assert len(await streamed(answer, 3)) == 3


async def test_a_stream_is_taken_up_behind_the_last_entry_at_most(url: str) -> None:
    """However many digits somebody sends: what comes next is sent."""
    async with looping(FakeProxy()) as loop, serving(loop, url) as client:
        await loop.reporter.until_passes(1)
        again = {**STREAM, "Last-Event-ID": "9" * 400}
        async with client.get("/api/events", headers=again) as answer:
            assert answer.status == 200
            await answer.content.readline()
            loop.start(ONE, at=time.time())
            [entry] = await streamed(answer, 1)
            assert entry["kind"] == "assign"


async def test_an_open_stream_does_not_hold_up_the_end(url: str) -> None:
    """The daemon ends its streams when it ends, and the reader sees the end."""
    port = int(url.rpartition(":")[2])
    async with looping(FakeProxy()) as loop, aiohttp.ClientSession(url) as client:
        served = application(loop.controller, loop.metrics, loop.journal)
        runner = await serve(served, "127.0.0.1", port)
        async with client.get("/api/events", headers=STREAM) as answer:
            await answer.content.readline()
            async with asyncio.timeout(5):
                await runner.cleanup()
                assert b"data" not in await answer.content.read()


async def test_streams_and_entries_are_told_to_prometheus(url: str) -> None:
    """How many read along now, and how much there has been to read."""
    async with looping(FakeProxy()) as loop, serving(loop, url) as client:
        await loop.reporter.until_passes(1)
        told = []
        async with client.get("/api/events", headers=STREAM) as stream:
            await stream.content.readline()
            async with client.get("/metrics") as answer:
                told.append(await answer.text())
        loop.start(ONE)
        await loop.reporter.until_passes(2)
        async with client.get("/metrics") as answer:
            told.append(await answer.text())

    assert "\nreconciler_streams 1.0\n" in told[0]
    assert "\nreconciler_journal_entries_total 2.0\n" in told[0]
    assert "\nreconciler_journal_entries_total 3.0\n" in told[1]


async def test_streams_are_bounded(url: str) -> None:
    """One too many is turned away, and there is room again when one has gone."""
    async with looping(FakeProxy()) as loop, serving(loop, url) as client:
        answers = [
            await client.get("/api/events", headers=STREAM) for _ in range(MOST_STREAMS)
        ]
        async with client.get("/api/events", headers=STREAM) as refused:
            assert refused.status == 503
            assert "close one" in await refused.text()
        for answer in answers:
            answer.close()


@pytest.mark.parametrize("query", ["after=x", "since=-1", "since=nan", "after=inf"])
async def test_a_bad_question_is_told(url: str, query: str) -> None:
    """400, with the word that is wrong and what is accepted."""
    async with (
        looping(FakeProxy()) as loop,
        serving(loop, url) as client,
        client.get(f"/api/events?{query}") as answer,
    ):
        assert answer.status == 400
        assert "must be a number" in await answer.text()


async def test_a_port_that_is_taken(url: str) -> None:
    """The message names the address, the cause and both ways out."""
    port = int(url.rpartition(":")[2])
    async with looping(FakeProxy()) as loop:
        runner = await serve(
            application(loop.controller, loop.metrics, loop.journal), "127.0.0.1", port
        )
        try:
            with pytest.raises(ConfigError) as caught:
                await serve(
                    application(loop.controller, loop.metrics, loop.journal),
                    "127.0.0.1",
                    port,
                )
        finally:
            await runner.cleanup()

    message = str(caught.value)
    assert message.startswith(f"cannot listen on 127.0.0.1:{port}: ")
    assert "in use" in message
    assert "--listen HOST:PORT" in message
    assert "--listen off" in message


async def test_the_slot_map_of_the_daemon() -> None:
    """Slots with their tenants, and who has none; without statistics, where none are."""
    async with looping(FakeProxy(slots=2), containers=(ONE, BAD)) as loop:
        await loop.reporter.until_passes(1)
        shown = json.loads(await map_text(loop.controller, Statistics()))

    assert [
        (row["slot"], row["state"], row["container"], row["address"], row["sessions"])
        for row in shown["slots"]
    ] == [
        ("slot1", "ready", "web-1", "10.0.0.1", None),
        ("slot2", "free", None, None, None),
    ]
    [left_out] = shown["unplaced"]
    assert (left_out["container"], left_out["cause"]) == ("web-4", "bad_label")


async def test_each_change_is_one_log_line(caplog: pytest.LogCaptureFixture) -> None:
    """Who went where and how late; and nothing at all when nothing changes."""
    caplog.set_level(logging.INFO)
    async with looping(FakeProxy()) as loop:
        await loop.reporter.until_passes(1)
        caplog.clear()
        loop.start(ONE, at=time.time())
        await loop.reporter.until_passes(2)
        loop.gone(ONE, at=time.time())
        await loop.reporter.until_passes(3)
        loop.start(container(9, labels={"haproxy.enable": "no"}), at=1.0)
        await loop.idle()

    assert [record.getMessage() for record in caplog.records] == [
        "assigned web-1 (10.0.0.1:8000) to web/slot1",
        "released web-1 (10.0.0.1:8000) from web/slot1",
    ]
    assert "latency_ms" in vars(caplog.records[0])
    assert vars(caplog.records[0])["haproxy"] == NAME


async def test_who_has_no_slot_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Again only when it changes, not with every resync."""
    async with looping(FakeProxy(), containers=(BAD,), resync_seconds=0.01) as loop:
        await loop.reporter.until_passes(5)

    warnings = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert [record.getMessage() for record in warnings] == [EXPECTED_WARNING]


async def test_hostile_text_forges_no_log_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A newline in a label stays inside its line, escaped; 255 kB are cut."""
    forged = "80\n2024-01-01 INFO    released everything"
    hostile = [
        container(1, labels={"haproxy.port": forged}),
        container(2, labels={"haproxy.backend": "\x1b[2Jweb\r\n"}),
        container(3, labels={"haproxy.port": "A" * 255 * 1024}),
        container(4, labels={"haproxy.x": "", "com.docker.compose.service": forged}),
    ]
    async with looping(FakeProxy(), containers=tuple(hostile)) as loop:
        await loop.reporter.until_passes(1)

    warnings = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 4
    for record in warnings:
        assert record.getMessage().isprintable()
        assert len(record.getMessage()) < 1000


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_log_formats(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Both formats carry the message, its level and its extras, on one line."""
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    try:
        configure_logging(log_format, "info")
        logging.getLogger("x").info("assigned %s", "web-1", extra={"haproxy": NAME})
        logging.getLogger("x").debug("not shown")
    finally:
        root.handlers[:] = kept
        root.setLevel(level)
    [line] = capsys.readouterr().err.splitlines()

    if log_format == "json":
        shown = json.loads(line)
        assert (shown["message"], shown["level"]) == ("assigned web-1", "INFO")
        assert shown["haproxy"] == NAME
        assert "time" in shown
    else:
        assert line.endswith(f"INFO    assigned web-1  haproxy={NAME}")
