"""A pass that plans for what an event concerns ends where one that plans for everything does."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence

import pytest
from hypothesis import given, settings, strategies as st
from tests.fakes.containers import by_id, container
from tests.fakes.loop import RecordingReporter
from tests.fakes.proxy import FakeProxy

from reconciler import upkeep
from reconciler.core.claims import ClaimTable
from reconciler.core.model import (
    Attachment,
    Cause,
    Container,
    Health,
    Observed,
    Process,
)
from reconciler.core.placement import Context
from reconciler.core.plan import Rules, plan
from reconciler.core.touched import Touched
from reconciler.haproxy.versions import reuse_needs_idle
from reconciler.status import WorkerStatus
from reconciler.upkeep import Upkeep


Batch = dict[str, Container | None]

LABELS = st.sampled_from(
    (
        {},
        {"haproxy.backend": "api"},
        {"haproxy.backends.web.port": "80", "haproxy.backends.api.port": "81"},
        {"haproxy.weight": "7"},
        {"haproxy.port": "none"},
        {"haproxy.backend": "nowhere"},
        {"haproxy.drain": "0"},
    )
)


NUMBERS = range(1, 10)


@st.composite
def lives(draw: st.DrawFn) -> list[Batch]:
    """Up to four containers at a time that came, went or changed; some share an address.

    Labels stay what they are. Networks come and go: of two it is not clear which counts.
    """
    labels = draw(st.fixed_dictionaries(dict.fromkeys(NUMBERS, LABELS)))
    batches: list[Batch] = []
    for numbers in draw(
        st.lists(
            st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=4),
            min_size=1,
            max_size=8,
        )
    ):
        batch: Batch = {}
        for number in numbers:
            one = container(
                number, labels=labels[number], health=draw(st.sampled_from(Health))
            )
            # One has the same place as another.
            own = Attachment(
                network="demo_default", ipv4=f"10.0.0.{1 if number == 9 else number}"
            )
            other = Attachment(network="mon", ipv4=f"10.1.0.{number}")
            one = dataclasses.replace(
                one,
                networks=draw(
                    st.sampled_from(((own,), (own,), (own, other), (other,)))
                ),
                is_stopping=draw(st.sampled_from((False, False, True))),
            )
            batch[one.id] = draw(st.sampled_from((one, one, None)))
        batches.append(batch)
    return batches


class Follower:
    """A HAProxy and what keeps its map, with claims of its own."""

    def __init__(self, version: str, slots: int) -> None:
        self.proxy = FakeProxy(slots=slots, backends=("web", "api"), version=version)
        self.proxy.tells_dates = True
        self.claims = ClaimTable(Context())
        self.upkeep = Upkeep(
            self.proxy,
            self.claims,
            WorkerStatus(name="fake"),
            rules_for=rules_for,
            reporter=RecordingReporter(),
        )

    async def follow(self, batch: Batch, *, everything: bool) -> None:
        """Take in changes, and run passes until nothing is left."""
        self.upkeep.touch(self.claims.update(batch))
        if everything:
            self.upkeep.must_observe = "the test wants it so"
        await self._run()
        if self.waits():  # an alarm would ring
            self.upkeep.dirty |= {"web", "api"}
            await self._run()

    async def _run(self) -> None:
        for _ in range(4):
            async for _outcome in self.upkeep.run_pass():
                pass
            if not self.upkeep.has_work:
                break
        assert not self.upkeep.has_work

    def unplaced(self) -> list[str]:
        """Return who has no slot, in words, in no order."""
        return sorted(map(repr, self.upkeep.status.all_unplaced()))

    def kept(self) -> list[str]:
        """Return who keeps a slot that nobody asks for, in words, in no order."""
        return sorted(map(repr, self.upkeep.status.kept.values()))

    def waits(self) -> bool:
        """Whether somebody waits for a slot to be idle."""
        unplaced = self.upkeep.status.all_unplaced()
        return any(one.cause is Cause.SLOT_BUSY for one in unplaced)

    def map(self) -> dict[str, dict[str, tuple[object, ...]]]:
        """Return what HAProxy has, without dates."""
        return {
            backend: {
                name: (one.address, one.port, one.admin, one.weight)
                for name, one in servers.items()
            }
            for backend, servers in self.proxy.tables.items()
        }

    def known(self) -> dict[str, dict[str, tuple[object, ...]]]:
        """Return what is believed to be in HAProxy."""
        return {
            backend: {
                name: (one.address, one.port, one.admin, one.weight)
                for name, one in servers.items()
            }
            for backend, servers in self.upkeep.status.tables.items()
        }


def rules_for(process: Process) -> Rules:
    """Return the planner's rules, without a drain time: no clock is waited for here."""
    return Rules(reuse_needs_idle=reuse_needs_idle(process.release), drain_seconds=0)


async def compared(batches: Sequence[Batch], version: str, slots: int) -> None:
    """Follow the same changes by small and by whole passes, and compare after each."""
    small, whole = Follower(version, slots), Follower(version, slots)
    for batch in batches:
        await small.follow(batch, everything=False)
        await whole.follow(batch, everything=True)

        assert small.map() == whole.map()
        assert small.unplaced() == whole.unplaced()
        assert small.known() == small.map()
        assert small.kept() == whole.kept()
        desired = small.claims.desired({"web", "api"})
        observed = Observed(
            process=small.proxy.worker,
            backends=small.upkeep.status.tables,
            template_ports={"web": 8000, "api": 8000},
        )
        left = plan(desired, observed, rules_for(small.proxy.worker), now=None)
        assert left.actions == ()


@pytest.mark.timeout(300)  # so many examples take a slow processor more than a minute
@settings(max_examples=6000, deadline=None)
@given(
    lives(),
    st.sampled_from(("3.0.11", "2.6.12")),
    st.integers(1, 9),
)
def test_small_passes_end_where_whole_ones_do(
    batches: list[Batch], version: str, slots: int
) -> None:
    """The same slots, states, weights and reasons, with many slots or with too few."""
    asyncio.run(compared(batches, version, slots))


@st.composite
def starts(draw: st.DrawFn) -> list[Batch]:
    """Containers that are about to start, start, change, go; there are slots for all."""
    batches: list[Batch] = []
    for number, step in draw(
        st.lists(
            st.tuples(st.integers(1, 5), st.sampled_from(("expect", "begin", "gone"))),
            max_size=12,
        )
    ):
        one = container(number, labels={"haproxy.backend": "api"})
        if step == "expect":
            one = dataclasses.replace(one, is_running=False, is_starting=True)
        batches.append({one.id: None if step == "gone" else one})
    return batches


@given(starts(), st.sampled_from(("3.0.11", "2.6.12")))
def test_small_passes_prepare_as_whole_ones_do(
    batches: list[Batch], version: str
) -> None:
    """Whoever is about to start has the same slot either way, and is let in to it."""
    asyncio.run(compared(batches, version, 9))


@given(st.lists(st.integers(1, 200), max_size=200), st.integers(1, 250))
def test_taking_some_of_what_changed_loses_nothing(
    numbers: list[int], most: int
) -> None:
    """What is taken is no more than was asked for, and the rest stays for later."""
    touched, expected = Touched(), Touched()
    for number in numbers:
        for one in (touched, expected):
            one.add(f"b{number % 3}", f"c{number % 50}", [("10.0.0.1", number)])
    seen = Touched()
    while touched:
        taken = touched.take(most)
        assert 0 < len(taken) <= most
        seen.join(taken)

    assert seen == expected


async def test_however_many_changes_wait_they_are_planned_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where too many claims changed to keep them apart, whole backends are planned for."""
    monkeypatch.setattr(upkeep, "MOST_TOUCHED", 400)
    one = Follower("3.0.11", 3)
    await one.follow({}, everything=True)
    for number in range(1, 500):
        one.upkeep.touch(one.claims.update(by_id(container(number % 7 + 1))))
        gone = container(number % 7 + 1).id
        one.upkeep.touch(one.claims.update({gone: None}))
        one.upkeep.touched.add("web", f"{number}", [("10.1.1.1", number)])

    assert len(one.upkeep.touched) <= 400
    await one.follow(by_id(container(1)), everything=False)
    assert one.proxy.homes() == {"10.0.0.1": "slot1"}
