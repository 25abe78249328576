"""Each fault alone: the map converges to the truth, and traffic never feels it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families
from tests.faults import TROUBLE, Rig, Traffic
from tests.faults.churn import CHURN
from tests.faults.trouble import CLOCK, EVENTS, LASTING, SOCKET
from tests.support.daemon import run_cli
from tests.support.slots import slots


pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

FIRST = (
    *("run", "run", "healthy", "stop", "run", "pause", "remove", "restart"),
    *("disconnect", "replace", "rename", "unhealthy"),
)
THEN = ("kill", "stop", "unpause", "connect", "healthy", "kill", "run", "begin")
"""What happens before the trouble is felt, and while it is: the newest die first."""
AT_ONCE = {
    *CLOCK,
    *("the stream stalls", "the stream ends", "the stream breaks"),
    *("events come again", "the next stream breaks"),
    *("the engine restarts", "the engine is away"),
}
"""What has happened, or has nothing to be counted by, once it is injected."""


NEEDS_RESYNC = {"events are lost"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def patient_rig() -> AsyncIterator[Rig]:
    """A rig whose daemon reads everything anew every 30 s: later than any test waits."""
    async with Rig(resync_seconds=30.0) as one:
        await one.serve()
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def busy_rig() -> AsyncIterator[Rig]:
    """A rig whose daemon reads everything anew every second."""
    async with Rig(resync_seconds=1.0) as one:
        await one.serve()
        yield one


@pytest_asyncio.fixture(loop_scope="module")
async def rig(patient_rig: Rig) -> Rig:
    """Eight containers in their slots, nothing wrong, and no resync that would mend it."""
    return await filled(patient_rig)


@pytest_asyncio.fixture(loop_scope="module")
async def resyncing_rig(busy_rig: Rig) -> Rig:
    """The same, with a resync every second, for what nothing else can mend."""
    return await filled(busy_rig)


async def filled(rig: Rig) -> Rig:
    """Have eight containers in their slots and nothing wrong."""
    await rig.clear()
    for pick in range(8):
        rig.churn("run", pick)
    await rig.converge()
    return rig


@pytest.mark.parametrize("trouble", sorted(TROUBLE.keys() - NEEDS_RESYNC))
async def test_the_map_becomes_the_truth_and_no_request_fails(
    rig: Rig, trouble: str
) -> None:
    """Whatever goes wrong while containers come and go, in HAProxy and in Docker."""
    await converges(rig, trouble)


@pytest.mark.parametrize("trouble", sorted(NEEDS_RESYNC))
async def test_the_resync_mends_what_nothing_told(
    resyncing_rig: Rig, trouble: str
) -> None:
    """Where nobody can tell that something is missing, the next list does."""
    await converges(resyncing_rig, trouble)


async def converges(rig: Rig, trouble: str) -> None:
    """Churn while something is wrong, and then wait for the truth."""
    async with Traffic(rig.haproxy.http_port) as traffic:
        before = rig.bites()
        await rig.inject(trouble)
        for pick, verb in enumerate(FIRST):
            rig.churn(verb, pick)
        if trouble not in AT_ONCE:
            await rig.bitten(before)
        for pick, verb in enumerate(THEN):
            rig.churn(verb, pick)
        await traffic.more(10)
        await rig.lift()
        await rig.converge()

        # What came out of order is over when a later event has had its effect.
        rig.churn("run", 0)
        await rig.converge()
        await traffic.more(5)
        assert rig.differences() == []

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


@pytest.mark.parametrize("line", ["addr *", "state ready", "state maint"])
async def test_what_a_stuck_haproxy_does_late_is_seen(rig: Rig, line: str) -> None:
    """Commands of a batch that was given up take effect afterwards: nothing wrong stays.

    HAProxy gets stuck in the middle of an assignment or a release; when it does what it was
    told, a container that was to be put in has gone, and its address has a new one.
    """
    said, before = len(rig.daemon.log), rig.bites()
    rig.relay.stall(at=f"set server * {line}")
    rig.run()
    newest = rig.restless()[0]
    rig.churn("stop", 1)
    await rig.bitten(before)
    rig.engine.remove(newest)
    await rig.daemon.wait_log("no whole reply", after=said)
    rig.run(address=newest.address)
    await rig.lift()
    await rig.converge()

    rig.churn("run", 0)
    await rig.converge()


async def test_a_silent_stream_is_made_up_for_by_the_resync(
    resyncing_rig: Rig,
) -> None:
    """The stream stays open and says nothing, and nobody ends that: the list does it."""
    rig = resyncing_rig
    before = await corrections(rig)
    await rig.inject("the stream stalls")
    rig.run()
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
    """Each fault that lasts, and each verb that is used, is one that there is."""
    assert TROUBLE.keys() >= LASTING
    assert CHURN.keys() >= {*FIRST, *THEN}
    assert TROUBLE.keys() >= AT_ONCE
    assert not SOCKET.keys() & EVENTS.keys()


async def test_no_visitor_sticks_to_who_was_told_to_stop(patient_rig: Rig) -> None:
    """With cookies, and one container after the other told to stop under its visitors."""
    await filled(patient_rig)
    for _ in range(3):
        assert await patient_rig.stop_under_visitor() == []


@pytest.mark.parametrize(
    "trouble", [one for one in sorted(TROUBLE) if "refused" in one]
)
async def test_a_refusal_where_an_agent_owns_the_weight(trouble: str) -> None:
    """What HAProxy did behind the refused command is no operator's hold: it is finished."""
    async with Rig(has_agent=True) as rig:
        await rig.serve()
        for pick in range(3):
            await rig.inject(trouble)
            rig.churn("run", pick)
            await rig.converge()
            await rig.lift()
            await rig.converge()
