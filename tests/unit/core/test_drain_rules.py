"""The labels of a drain, the rotation of who stops, and both in claims and desired."""

from __future__ import annotations

import dataclasses

import pytest
from tests.fakes.containers import container

from reconciler.core.desired import claims_of, desired_from
from reconciler.core.model import Cause, Endpoint, Health, Rotation, StopRule, Unplaced
from reconciler.core.placement import (
    Context,
    Found,
    Refused,
    drain_of,
    rotation_of,
    shuts_down,
)


ANYWHERE = Context()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("45", 45.0),
        ("45s", 45.0),
        ("10m", 600.0),
        ("2h", 7200.0),
        ("24h", 86400.0),
        ("86400", 86400.0),
    ],
)
def test_a_drain_time(text: str, seconds: float) -> None:
    """Seconds, or a number with its unit, up to a day."""
    found = drain_of(container(labels={"haproxy.drain": text}))

    assert found == Found(seconds, "label haproxy.drain")


def test_no_drain_time_is_the_daemons() -> None:
    """None, and not a number: the default may differ by daemon."""
    assert drain_of(container()) == Found(None, "no label: as --drain-timeout says")


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "45 s", "1.5", "-1", "1d", "25h", "86401", "99999h", "s", "٣"),
        *("5S", "1m30s", "inf", "nan", "1e3", "5s;", "5s\n"),
        pytest.param("9" * 255 * 1024, id="long"),
    ],
)
def test_what_is_no_drain_time_keeps_the_container_out(text: str) -> None:
    """Label, value and the accepted form are named."""
    refused = drain_of(container(labels={"haproxy.drain": text}))

    assert isinstance(refused, Refused)
    assert refused.cause is Cause.BAD_LABEL
    assert 'label "haproxy.drain"' in refused.reason
    assert refused.reason.endswith("a time such as 45, 45s, 10m or 2h, at most 24h")
    assert refused.reason.isprintable()


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, False),
        ({"haproxy.drain-shutdown": "true"}, True),
        ({"haproxy.drain-shutdown": "Yes "}, True),
        ({"haproxy.drain-shutdown": "0"}, False),
    ],
)
def test_shutting_down_is_asked_for(labels: dict[str, str], *, expected: bool) -> None:
    """Nobody is cut off by default."""
    found = shuts_down(container(labels=labels))

    assert isinstance(found, Found)
    assert found.value is expected


def test_shutting_down_is_yes_or_no() -> None:
    """Anything else is refused."""
    refused = shuts_down(container(labels={"haproxy.drain-shutdown": "2m"}))

    assert isinstance(refused, Refused)
    assert '"haproxy.drain-shutdown"' in refused.reason


@pytest.mark.parametrize("health", Health)
def test_a_stop_comes_before_every_verdict(health: Health) -> None:
    """Healthy or not, even before its first verdict: it is about to go."""
    one = dataclasses.replace(container(health=health), is_stopping=True)

    assert rotation_of(one) == Found(Rotation.STOP, "its stop signal was sent")


def test_a_claim_carries_the_stop_and_the_labels() -> None:
    """What the planner needs of a drain comes with the endpoint."""
    labels = {"haproxy.drain": "1m", "haproxy.drain-shutdown": "on"}
    one = dataclasses.replace(container(labels=labels), is_stopping=True)

    [claim] = claims_of(one, ANYWHERE)

    assert isinstance(claim.outcome, Endpoint)
    assert claim.outcome.rotation is Rotation.STOP
    assert claim.outcome.drain_seconds == 60.0
    assert claim.outcome.drain_shutdown is True
    [endpoint] = desired_from([claim], {"web"}).endpoints["web"]
    assert endpoint == claim.outcome


@pytest.mark.parametrize("label", ["haproxy.drain", "haproxy.drain-shutdown"])
def test_a_bad_label_keeps_out_with_what_is_known(label: str) -> None:
    """One container only, and its address is shown all the same."""
    claims = [
        claim
        for one in (container(1, labels={label: "?"}), container(2))
        for claim in claims_of(one, ANYWHERE)
    ]

    desired = desired_from(claims, {"web"})

    [refused] = desired.unplaced
    assert isinstance(refused, Unplaced)
    assert (refused.cause, refused.address) == (Cause.BAD_LABEL, "10.0.0.1")
    assert [one.address for one in desired.endpoints["web"]] == ["10.0.0.2"]


def test_a_stop_is_a_change_of_a_container_and_how_it_stops_is_none() -> None:
    """A list, which does not tell how, corrects nothing of what an inspect told."""
    one = container()

    assert dataclasses.replace(one, is_stopping=True) != one
    assert dataclasses.replace(one, stop=StopRule()) == one
