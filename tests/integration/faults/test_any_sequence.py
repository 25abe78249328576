"""Any sequence of churn and faults: whenever nothing is wrong, the map is the truth."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.faults import CHURN, TROUBLE, Rig
from tests.faults.churn import MOST_CONTAINERS


pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

T = TypeVar("T")

FEW, MANY = 5, 60
"""Sequences of up to 25 steps, 7 s each: the same ones always, or others every night."""


class AnySequence(RuleBasedStateMachine):
    """One rig for all sequences: each begins with an empty map and nothing wrong."""

    def __init__(self, runner: asyncio.Runner, rig: Rig) -> None:
        super().__init__()
        self._runner = runner
        self._rig = rig
        self._run(rig.clear())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    @rule(
        verb=st.sampled_from(sorted(CHURN)),
        pick=st.integers(min_value=0, max_value=MOST_CONTAINERS - 1),
    )
    def churn(self, verb: str, pick: int) -> None:
        """Something happens to a container."""

        async def act() -> None:
            self._rig.churn(verb, pick)

        self._run(act())

    @rule(trouble=st.sampled_from(sorted(TROUBLE)))
    def inject(self, trouble: str) -> None:
        """Something goes wrong, at once, the next time, or from now on."""
        self._run(self._rig.inject(trouble))

    @precondition(lambda self: self._rig.is_troubled)
    @rule(is_long=st.booleans())
    def lift(self, *, is_long: bool) -> None:
        """Everything works again."""
        if is_long:
            self._run(self._rig.outlast())
        self._run(self._rig.lift())

    @rule()
    def restart_haproxy(self) -> None:
        """HAProxy comes back as another process, empty."""
        self._run(self._rig.restart_haproxy())

    @rule()
    def restart_daemon(self) -> None:
        """The daemon is killed at whatever it is, and starts again."""
        self._run(self._rig.restart_daemon())

    @invariant()
    def is_true(self) -> None:
        """Nothing is wrong, so HAProxy's own table says what Docker's list says."""
        if not self._rig.is_troubled:
            self._run(self._rig.converge())

    def teardown(self) -> None:
        """Whatever is still wrong ends, and the truth stays."""
        self._run(self._rig.lift())
        self._run(self._rig.stay())


@pytest.mark.parametrize("has_agent", [False, True], ids=["plain", "agent"])
def test_any_sequence_ends_at_the_truth(has_agent: bool) -> None:  # noqa: FBT001
    """A few sequences, many under the nightly profile; `make bench-faults` is longer."""
    is_nightly = settings().max_examples >= 1000
    with asyncio.Runner() as runner:
        rig = Rig(has_agent=has_agent)
        runner.run(rig.__aenter__())

        class OnThisRig(AnySequence):
            def __init__(self) -> None:
                super().__init__(runner, rig)

        try:
            run_state_machine_as_test(
                OnThisRig,
                settings=settings(
                    max_examples=MANY if is_nightly else FEW - 3 * has_agent,
                    stateful_step_count=25,
                    deadline=None,
                    derandomize=not is_nightly,
                    database=None,
                    # Real processes take real time: a shorter sequence costs minutes.
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(rig.__aexit__(None, None, None))
