"""What is told of the rules is what the rules do."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from tests.fakes.containers import container

from reconciler.core import placement
from reconciler.core.model import Attachment, Container
from reconciler.core.placement import Context, Found, Refused
from reconciler.core.tried import (
    Tried,
    address_tries,
    backend_tries,
    drain_tries,
    enabled_tries,
    port_tries,
    rotation_tries,
    shutdown_tries,
    weight_tries,
)


LABELS = {
    placement.ENABLE: ("no", "?"),
    placement.BACKEND: ("web", "a b"),
    f"{placement.BACKENDS}web.port": ("81", "x"),
    f"{placement.BACKENDS}api.weight": ("3", "-1"),
    placement.PORT: ("80", "70000"),
    placement.WEIGHT: ("20", "257"),
    placement.NETWORK: ("front", "back"),
    placement.ADDRESS: ("10.9.9.9", "nowhere"),
    placement.DRAIN: ("45s", "1w"),
    placement.DRAIN_SHUTDOWN: ("yes", "maybe"),
}
NETWORKS = [Attachment(network=name, ipv4="10.1.0.1") for name in ("front", "other")]

labels = st.fixed_dictionaries(
    {}, optional={key: st.sampled_from(values) for key, values in LABELS.items()}
)
containers = st.builds(
    container,
    labels=labels,
    networks=st.lists(st.sampled_from(NETWORKS), unique=True),
    tcp_ports=st.sampled_from([(), (80,), (80, 443)]),
)
contexts = st.builds(
    Context,
    projects=st.sampled_from([None, frozenset({"demo"}), frozenset({"else"})]),
    network=st.sampled_from([None, "front", "back"]),
    shared_networks=st.sampled_from([frozenset(), frozenset({"front"})]),
    default_ports=st.sampled_from([{}, {"web": 8000}]),
)


def tries_and_answers(
    one: Container, context: Context
) -> list[tuple[tuple[Tried, ...], Found[object] | Refused]]:
    """Return, for each rule, what is told and what the rule says."""
    found: list[tuple[tuple[Tried, ...], object]] = [
        (enabled_tries(one), placement.is_enabled(one)),
        (backend_tries(one, context), placement.backends_of(one, context)),
        (address_tries(one, context), placement.address_of(one, context)),
        (port_tries(one, "web", context), placement.port_of(one, "web", context)),
        (weight_tries(one, "web"), placement.weight_of(one, "web")),
        (drain_tries(one), placement.drain_of(one)),
        (shutdown_tries(one), placement.shuts_down(one)),
        (rotation_tries(one), placement.rotation_of(one)),
    ]
    return found  # type: ignore[return-value] # Found of any value


@given(one=containers, context=contexts)
def test_the_candidate_that_decides_is_the_last_one_told(
    one: Container, context: Context
) -> None:
    """A label that a rule names is the last candidate, and all before it had nothing."""
    for tried, answer in tries_and_answers(one, context):
        *before, last = tried
        how = answer.how if isinstance(answer, Found) else answer.why
        is_label = how.startswith("label ") and last.rule.startswith("label ")
        if is_label:
            assert last.rule.removeprefix("label ") in how
            assert last.outcome.startswith('"')
        for one_before in before:
            assert one_before.outcome.startswith(
                ("none", "not given", "was not sent")
            ) or ("so none" in one_before.outcome)


@given(one=containers, context=contexts)
def test_what_was_found_is_in_the_last_outcome(
    one: Container, context: Context
) -> None:
    """An address or a port that a rule found is told by its last candidate."""
    for tried, answer in tries_and_answers(one, context)[2:4]:
        if isinstance(answer, Found):
            assert str(answer.value) in tried[-1].outcome


@pytest.mark.parametrize(
    ("projects", "words"),
    [
        (None, '"web" of project "demo": all projects are covered'),
        (frozenset({"demo"}), '"web" of project "demo", which is covered'),
        (frozenset({"x", "y"}), "which is not covered (covered: x, y)"),
    ],
)
def test_the_services_name_says_whether_its_project_counts(
    projects: frozenset[str] | None, words: str
) -> None:
    """Covered or not, and what is covered instead."""
    last = backend_tries(container(), Context(projects=projects))[-1]

    assert last.rule == "its service's name"
    assert words in last.outcome


def test_hostile_labels_are_quoted() -> None:
    """Control characters in a label do not leave as they are."""
    hostile = container(
        labels={"haproxy.port": "80\x1b[2J\n", "haproxy.backends.\n.port": "1"}
    )
    shown = [*port_tries(hostile, "web", Context()), *backend_tries(hostile, Context())]

    assert all(one.outcome.isprintable() for one in shown)
