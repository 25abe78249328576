"""Every rule with its evidence: why a container is where it is, or why it is nowhere."""

from __future__ import annotations

import dataclasses

import pytest
from tests.fakes.containers import container, free_slot, observed, static_server

from reconciler.core.desired import claims_of, desired_from
from reconciler.core.explain import explained, is_placed, verdict
from reconciler.core.homes import ProxyPart
from reconciler.core.model import AdminState, Attachment, Container, Health, Server
from reconciler.core.placement import Context
from reconciler.core.plan import Rules, plan
from reconciler.core.tried import Step


ANYWHERE = Context()
HOME = dataclasses.replace(
    free_slot(1, has_check=True),
    address="10.0.0.1",
    admin=AdminState.READY,
    is_up=True,
)


def part(*servers: Server, containers: list[Container] | None = None) -> ProxyPart:
    """Return a HAProxy with these servers in backend web, and these containers to place."""
    found = observed({"web": {server.ref.server: server for server in servers}})
    claims = [c for one in containers or [] for c in claims_of(one, ANYWHERE)]
    desired = desired_from(claims, {"web"})
    return ProxyPart(
        name="unix:///a",
        observed=found,
        endpoints=desired.endpoints.get("web", ()),
        plan=plan(desired, found, Rules()),
        slot_prefix="slot",
    )


def verdicts(steps: list[Step]) -> list[tuple[str, bool]]:
    """Return each rule and whether it passes."""
    return [(step.rule, step.passes) for step in steps]


def last_words(one: Container, *servers: Server) -> str:
    """Return the evidence on the slot of a container among these servers."""
    step = explained(one, ANYWHERE, [part(*servers, containers=[one])])[-1]
    assert step.rule == "slot in unix:///a"
    return step.evidence


def test_a_placed_container_passes_every_rule_in_order() -> None:
    """The rules come in the order they decide, each with a value and where it is from."""
    one = container()

    steps = explained(one, ANYWHERE, [part(HOME, containers=[one])])

    assert verdicts(steps) == [
        ("running", True),
        ("enabled", True),
        ("backend", True),
        ("address", True),
        ("port in web", True),
        ("weight in web", True),
        ("drain time", True),
        ("drain shutdown", True),
        ("rotation", True),
        ("slot in unix:///a", True),
    ]
    assert [step.evidence for step in steps[2:5]] == [
        "web (its service's name)",
        "10.0.0.1 (its only network, demo_default)",
        "8000 (the only TCP port it exposes)",
    ]
    assert steps[-1].evidence == "web/slot1 is ready, weight 1"


@pytest.mark.parametrize(
    ("one", "rule", "words"),
    [
        (container(is_running=False), "running", "start it"),
        (container(is_paused=True), "running", "unpause it"),
        (container(labels={"haproxy.enable": "no"}), "enabled", "remove it"),
        (container(labels={"haproxy.enable": "?"}), "enabled", "true or false"),
        (container(labels={"haproxy.backend": "a b"}), "backend", '"a b"'),
        (container(networks=[]), "address", "on no network"),
        (container(tcp_ports=()), "port in web", "haproxy.port"),
        (container(labels={"haproxy.weight": "-1"}), "weight in web", '"-1"'),
        (container(labels={"haproxy.drain": "1w"}), "drain time", '"1w"'),
        (container(labels={"haproxy.drain-shutdown": "?"}), "drain shutdown", "false"),
        (container(health=Health.STARTING), "rotation", "waits until it has"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_the_rule_that_keeps_a_container_out(
    one: Container, rule: str, words: str
) -> None:
    """Exactly one rule fails, and its evidence says what to do."""
    steps = explained(one, ANYWHERE, [part(HOME)])

    [failed] = [step for step in steps if not step.passes]
    assert failed.rule == rule
    assert words in failed.evidence


def test_no_slot_left() -> None:
    """A container that waits for a slot learns how to get more."""
    other = dataclasses.replace(HOME, address="10.0.0.9")
    old, young = container(9), container(10)

    step = explained(young, ANYWHERE, [part(other, containers=[old, young])])[-1]

    assert step.passes is False
    assert "all 1 slots of backend web are taken" in step.evidence
    assert "server-template" in step.evidence


def test_no_such_backend() -> None:
    """A backend without slots is named, and questions that it makes pointless are not put."""
    steps = explained(container(tcp_ports=()), ANYWHERE, [part(static_server())])

    assert verdicts(steps)[-2:] == [("backend", True), ("slots", False)]
    assert "no backend web with slots in unix:///a" in steps[-1].evidence


def test_not_placed_yet() -> None:
    """A container that the next pass will place asks whether the daemon runs."""
    assert "is the daemon running?" in last_words(container(), free_slot(1))


def test_down() -> None:
    """A slot whose check fails points at the check."""
    down = dataclasses.replace(HOME, is_up=False)

    assert "HAProxy's own check does not pass" in last_words(container(), down)


def test_an_operators_drain_is_told_from_ours() -> None:
    """A kept weight is an operator's decision; weight 0 on an unhealthy one is ours."""
    theirs = dataclasses.replace(HOME, admin=AdminState.DRAIN)
    ours = dataclasses.replace(theirs, weight=0)

    assert "an operator put it there" in last_words(container(), theirs)
    sick = container(health=Health.UNHEALTHY)
    assert "gets no new sessions while unhealthy" in last_words(sick, ours)


def test_a_stopping_container_keeps_its_slot_and_says_why() -> None:
    """The rule names the signal; the slot says that its sessions may end."""
    stopping = dataclasses.replace(container(), is_stopping=True)
    drained = dataclasses.replace(HOME, admin=AdminState.DRAIN, weight=0)

    steps = explained(stopping, ANYWHERE, [part(drained, containers=[stopping])])

    rules = {step.rule: step for step in steps}
    assert rules["rotation"].evidence == "stop (its stop signal was sent)"
    assert rules["drain time"].evidence == "no label: as --drain-timeout says"
    assert rules["drain shutdown"].evidence == "no (no label haproxy.drain-shutdown)"
    assert steps[-1].passes
    assert "keeps its slot for its sessions until it ends" in steps[-1].evidence


def test_labels_of_the_drain_are_evidence() -> None:
    """The seconds a label gives are shown, with the label's name."""
    labels = {"haproxy.drain": "2m", "haproxy.drain-shutdown": "true"}

    steps = explained(container(labels=labels), ANYWHERE, [])

    rules = {step.rule: step.evidence for step in steps}
    assert rules["drain time"] == "120 s (label haproxy.drain)"
    assert rules["drain shutdown"] == "yes (label haproxy.drain-shutdown)"


def test_a_stopping_container_without_a_slot_is_told_when_it_gets_one() -> None:
    """It is not placed any more, unless it outlives its stop."""
    stopping = dataclasses.replace(container(), is_stopping=True)

    assert "outlives its stop time-out" in last_words(stopping, free_slot(1))


def test_every_backend_and_haproxy_is_explained() -> None:
    """A container in two backends has port, weight and slot explained for both."""
    labels = {"haproxy.backends.api.port": "1", "haproxy.backends.web.port": "2"}
    two_networks = [Attachment(network="n", ipv4="10.0.0.1")]
    one = container(labels=labels, networks=two_networks)

    steps = explained(one, ANYWHERE, [part(HOME), part(HOME)])

    rules = [step.rule for step in steps]
    assert [rule for rule in rules if rule.startswith("port")] == [
        "port in api",
        "port in web",
    ]
    assert rules.count("slot in unix:///a") == 4


def test_the_verdict_of_who_is_placed() -> None:
    """Where, in which HAProxy, and how the slot is."""
    steps = explained(container(), ANYWHERE, [part(HOME, containers=[container()])])

    assert is_placed(steps)
    assert verdict(steps) == "placed: web/slot1 is ready, weight 1 (unix:///a)"


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (
            container(is_paused=True),
            "not placed: it is paused → unpause it",
        ),
        (
            container(tcp_ports=(), labels={"haproxy.weight": "x"}),
            (
                "not placed: its port is not clear (exposed TCP ports: none) → give label "
                "haproxy.port, or the backend's default by --backend-port web=PORT or "
                "--base-cfg (and 1 more below)"
            ),
        ),
        (
            container(is_running=False, networks=[], tcp_ports=()),
            "not placed: it is not running → start it",
        ),
    ],
)
def test_the_verdict_of_who_is_not_placed(one: Container, words: str) -> None:
    """The first rule that keeps it out, the mend, and how many more there are."""
    steps = explained(one, ANYWHERE, [part(HOME)])

    assert not is_placed(steps)
    assert verdict(steps) == words


def test_without_any_haproxy_nothing_is_claimed() -> None:
    """All rules pass, and yet nobody knows where the container is."""
    steps = explained(container(), ANYWHERE, [])

    assert not is_placed(steps)
    assert verdict(steps).startswith("not known: no haproxy could be read")


def test_placed_in_one_haproxy_and_not_in_another() -> None:
    """Both are told, and what keeps it out of the other."""
    one = container()
    full = dataclasses.replace(
        part(
            dataclasses.replace(HOME, address="10.0.0.9"),
            containers=[container(9), one],
        ),
        name="unix:///b",
    )

    told = verdict(explained(one, ANYWHERE, [part(HOME, containers=[one]), full]))

    assert told.startswith(
        "placed: web/slot1 is ready, weight 1 (unix:///a); not placed"
    )
    assert "in unix:///b: " in told


def test_a_backend_that_another_haproxy_has_is_no_fault() -> None:
    """One HAProxy may lack a backend that the other has."""
    one = container()
    lacks = dataclasses.replace(part(static_server(backend="x")), name="unix:///b")

    steps = explained(one, ANYWHERE, [part(HOME, containers=[one]), lacks])

    assert is_placed(steps)
    assert (
        steps[-1].evidence
        == "it has no backend web with slots, and another haproxy has"
    )
    assert "unix:///b" not in verdict(steps)


def test_who_is_not_placed_yet_learns_which_slot_it_gets() -> None:
    """The slot that the next pass has for it."""
    one = container()

    [*_, last] = explained(one, ANYWHERE, [part(free_slot(1), containers=[one])])

    assert last.why == "it has no slot yet, the next pass gives it web/slot1"
    assert last.mend == "is the daemon running?"


def test_what_was_tried_is_told_down_to_the_slots() -> None:
    """How many slots there are, whether one is its own, and which may be had."""
    old, young = container(9), container(10)
    other = dataclasses.replace(HOME, address="10.0.0.9")

    step = explained(young, ANYWHERE, [part(other, containers=[old, young])])[-1]

    assert [(one.rule, one.outcome) for one in step.tried] == [
        ("backend web", "1 slots: 1 ready"),
        ("a slot with 10.0.0.10 port 8000", "none"),
        ("a free slot", "none"),
        (
            "a slot whose tenant is out of rotation",
            "none (0 held by an operator are not counted)",
        ),
    ]
