"""The short way to a container's claims gives what the whole way gives, or nothing."""

from __future__ import annotations

import dataclasses

from hypothesis import given, strategies as st
from tests.fakes.containers import container

from reconciler.core.claims import ClaimTable
from reconciler.core.desired import claims_of, turned
from reconciler.core.model import Container, Health
from reconciler.core.placement import Context


LABELS = st.dictionaries(
    st.sampled_from(
        (
            "haproxy.enable",
            "haproxy.backend",
            "haproxy.backends.web.port",
            "haproxy.backends.api.weight",
            "haproxy.port",
            "haproxy.weight",
            "haproxy.drain",
            "haproxy.address",
        )
    ),
    st.sampled_from(("1", "80", "true", "web", "none", "10.1.1.1", "")),
    max_size=3,
)


@st.composite
def containers(draw: st.DrawFn) -> Container:
    """A container in any state, with good labels and bad ones."""
    return dataclasses.replace(
        container(
            labels=draw(LABELS),
            health=draw(st.sampled_from(Health)),
            is_running=draw(st.booleans()),
            is_paused=draw(st.booleans()),
        ),
        is_stopping=draw(st.booleans()),
        is_starting=draw(st.booleans()),
    )


@given(containers(), st.booleans())
def test_a_signal_turns_claims_as_judging_anew_does(
    before: Container,
    is_stopping: bool,  # noqa: FBT001
) -> None:
    """Whatever the container is like; where it cannot, it says so."""
    after = dataclasses.replace(before, is_stopping=is_stopping)
    found = turned(claims_of(before, Context()), before, after)

    assert found is None or found == claims_of(after, Context())
    if before.is_stopping is is_stopping:
        assert found is None


@given(containers())
def test_a_start_turns_claims_as_judging_anew_does(before: Container) -> None:
    """What was not told of who did not run yet is told once it does."""
    starting = dataclasses.replace(before, is_running=False, is_starting=True)
    running = dataclasses.replace(before, is_running=True, is_starting=False)
    found = turned(claims_of(starting, Context()), starting, running)

    assert found is None or found == claims_of(running, Context())


@given(containers(), containers())
def test_a_change_of_anything_else_is_judged_anew(
    before: Container, after: Container
) -> None:
    """Two readings of a container share nothing, so nothing is taken for the same."""
    found = turned(claims_of(before, Context()), before, after)

    assert found is None or found == claims_of(after, Context())


def test_another_context_is_judged_anew() -> None:
    """The same container, unchanged, under other rules."""
    one = container(labels={"haproxy.port": "80"})
    table = ClaimTable(Context())
    table.update({one.id: one})
    table.set_context(Context(projects=frozenset({"other"})))

    assert table.of() == []
