"""Each fault alone: the map converges to the truth, and traffic never feels it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families
from tests.faults import TROUBLE, Rig, Traffic
from tests.faults.churn import CHURN, WEB
from tests.faults.trouble import CLOCK, EVENTS, LASTING, SOCKET
from tests.support.daemon import run_cli
from tests.support.slots import slots


pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

STORY = (
    *("run", "healthy", "stop", "run", "pause", "remove", "restart", "disconnect"),
    *("replace", "rename", "unpause", "unhealthy", "connect", "kill", "run", "begin"),
)
AT_ONCE = {
    *CLOCK,
    *("the stream stalls", "the stream ends", "the stream breaks"),
    *("events come again", "the next stream breaks"),
    *("the engine restarts", "the engine is away"),
}
"""What has happened, or has nothing to be counted by, once it is injected."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_rig() -> AsyncIterator[Rig]:
    """The daemon between a scripted engine and HAProxy 3.0, for all tests of this file."""
    async with Rig() as one:
        await one.serve()
        yield one


@pytest_asyncio.fixture(loop_scope="module")
async def rig(shared_rig: Rig) -> Rig:
    """The same, with eight containers in their slots and nothing wrong."""
    await shared_rig.clear()
    for pick in range(8):
        shared_rig.churn("run", pick)
    await shared_rig.converge()
    return shared_rig


@pytest.mark.parametrize("trouble", sorted(TROUBLE))
async def test_the_map_becomes_the_truth_and_no_request_fails(
    rig: Rig, trouble: str
) -> None:
    """Whatever goes wrong while containers come and go, in HAProxy and in Docker."""
    async with Traffic(rig.haproxy.http_port) as traffic:
        before = rig.bites()
        await rig.inject(trouble)
        for pick, verb in enumerate(STORY):
            rig.churn(verb, pick)
        if trouble not in AT_ONCE:
            await rig.bitten(before)
        await traffic.more(10)
        await rig.lift()
        await rig.converge()

        # What came out of order is over when a later event has had its effect.
        rig.churn("run", 0)
        await rig.converge()
        await traffic.more(5)

    assert traffic.failures == []
    assert rig.engine.requests.refused == []


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("the socket stalls", "no whole reply"),
        ("the socket refuses connections", "nobody listens there"),
    ],
)
async def test_a_haproxy_that_cannot_be_talked_to_is_told(
    rig: Rig, trouble: str, words: str
) -> None:
    """The log and /readyz say so while it lasts, the map stays, and all is caught up."""
    before, said = slots(rig.haproxy), len(rig.daemon.log)
    await rig.inject(trouble)
    rig.churn("run", 0)
    await rig.daemon.wait_log(words, after=said)

    assert (await rig.daemon.get("/readyz")).status == 503
    assert slots(rig.haproxy) == before
    await rig.lift()
    await rig.converge()
    await rig.daemon.wait_ready()


async def test_a_command_waits_as_long_as_it_was_told(rig: Rig) -> None:
    """``--haproxy-timeout`` is the patience of the commands that look, too."""
    await rig.inject("the socket stalls")
    done = await run_cli(
        *("slots", "--haproxy", rig.relay.url, "--docker", rig.engine.url),
        *("--haproxy-timeout", "0.2"),
    )
    await rig.lift()

    assert done.code == 1
    assert "within 0.2 s" in done.stderr


async def test_what_a_stuck_haproxy_does_late_is_seen(rig: Rig) -> None:
    """Commands of a batch that was given up take effect afterwards: nothing wrong stays."""
    await rig.inject("the socket stalls")
    for _ in range(3):
        rig.churn("replace", 0)
        said = len(rig.daemon.log)
        await rig.daemon.wait_log("no whole reply", after=said)
    await rig.lift()
    await rig.stay()


async def test_a_silent_stream_is_made_up_for_by_the_resync(rig: Rig) -> None:
    """The stream stays open and says nothing, and nobody ends that: the list does it."""
    before = await corrections(rig)
    await rig.inject("the stream stalls")
    rig.engine.run(rig.new_name(), labels=WEB)
    await rig.converge()

    assert await corrections(rig) == before + 1
    await rig.lift()
    await rig.converge()


async def corrections(rig: Rig) -> float:
    """Return how many containers a resync had to correct, by the daemon's metrics."""
    answer = await rig.daemon.get("/metrics")
    return sum(
        sample.value
        for family in text_string_to_metric_families(answer.body)
        for sample in family.samples
        if sample.name == "reconciler_resync_corrections_total"
    )


async def test_the_lists_of_faults_and_verbs_hold_together() -> None:
    """Each fault that lasts, and each verb of the story, is one that there is."""
    assert TROUBLE.keys() >= LASTING
    assert CHURN.keys() >= set(STORY)
    assert TROUBLE.keys() >= AT_ONCE
    assert not SOCKET.keys() & EVENTS.keys()
