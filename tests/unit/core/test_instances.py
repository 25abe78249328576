"""HAProxies that are found: what a source means, where an instance is, and what is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.fakes.containers import container

from reconciler.core.instances import (
    Instance,
    Instances,
    Problem,
    Source,
    instance_of,
    labels_of,
    source_of,
)
from reconciler.core.membership import ONE_OFF, SERVICE_NAME, STACK, TASK_ID
from reconciler.core.model import Attachment, Container
from reconciler.core.placement import Context
from reconciler.errors import ConfigError


RUNTIME = Attachment(network="lb_runtime", ipv4="10.0.9.4")
FRONT = Attachment(network="front", ipv4="10.0.1.4")


LABELS = {
    SERVICE_NAME: "lb_haproxy",
    STACK: "lb",
    "haproxy.runtime": "8765",
    "edge": "yes",
}


def haproxy(number: int = 1, **changes: object) -> Container:
    """Return a container of a HAProxy; a task of service lb_haproxy of the stack lb."""
    one = replace(container(number), labels=LABELS, networks=(RUNTIME,))
    return replace(one, **changes)  # type: ignore[arg-type] # by name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("docker://edge", Source(text="", kind="docker", name="edge")),
        (
            "docker://com.example/edge=a=b?port=1&network=n&tls=1",
            Source(
                text="",
                kind="docker",
                name="com.example/edge",
                value="a=b",
                port=1,
                network="n",
                is_tls=True,
            ),
        ),
        (
            "swarm://lb_haproxy?tls=0",
            Source(text="", kind="swarm", name="lb_haproxy"),
        ),
    ],
)
def test_a_source(text: str, expected: Source) -> None:
    """What an operator writes comes to these parts."""
    found = source_of(text)
    assert found.text == text
    assert (found.kind, found.name, found.value) == (
        expected.kind,
        expected.name,
        expected.value,
    )
    assert (found.port, found.network, found.is_tls) == (
        expected.port,
        expected.network,
        expected.is_tls,
    )


@pytest.mark.parametrize(
    "text",
    [
        "docker://",
        "swarm://",
        "swarm://lb=1",
        "swarm://l b",
        "swarm://lb#x",
        "swarm://lb?port=0",
        "swarm://lb?port=65536",
        "swarm://lb?port=x",
        "swarm://lb?tls=maybe",
        "swarm://lb?speed=1",
        "swarm://lb?port",
        "swarm://[lb",
        "tcp://lb:1",
    ],
)
def test_what_is_no_source(text: str) -> None:
    """It is refused with its text and the forms that there are."""
    with pytest.raises(ConfigError, match="is no source of haproxies") as error:
        source_of(text)
    assert "swarm://SERVICE" in str(error.value)


SERVICE_LABEL = "docker://com.docker.compose.service=haproxy"
COMPOSED = {
    "com.docker.compose.project": "lb",
    "com.docker.compose.service": "haproxy",
    "com.docker.compose.config-hash": "1",
}


@pytest.mark.parametrize(
    ("source", "labels", "name", "is_found"),
    [
        (SERVICE_LABEL, COMPOSED, "lb-haproxy-1", True),
        (
            SERVICE_LABEL,
            {**COMPOSED, "com.docker.compose.config-hash": ""},
            "image",
            False,
        ),
        (SERVICE_LABEL, {**COMPOSED, TASK_ID: "t1"}, "edge.1.t1", False),
        (SERVICE_LABEL, {**COMPOSED, ONE_OFF: "True"}, "lb-haproxy-run-1", False),
        ("docker://edge", {"edge": ""}, "plain", True),
        ("docker://edge", {**COMPOSED, ONE_OFF: "True", "edge": ""}, "run", False),
        ("swarm://haproxy", {**LABELS, TASK_ID: "t1"}, "lb_haproxy.1.t1", True),
        ("swarm://haproxy", {**LABELS, TASK_ID: "t1"}, "copy", False),
        ("swarm://lb_haproxy", {**LABELS, TASK_ID: "t1"}, "copy", False),
        (
            "docker://com.docker.swarm.service.name",
            {**LABELS, TASK_ID: "t"},
            "c",
            False,
        ),
        (
            "docker://com.docker.stack.namespace=lb",
            {**LABELS, TASK_ID: "t"},
            "c",
            False,
        ),
    ],
)
def test_whom_a_source_means(
    *, source: str, labels: dict[str, str], name: str, is_found: bool
) -> None:
    """Compose's and Swarm's labels find who they were put on; a one-off is never meant."""
    found = instance_of(source_of(source), haproxy(labels=labels, name=name), Context())

    assert (found is not None) is is_found


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ("docker://edge", "tcp://10.0.9.4:9999"),
        ("docker://edge=yes", "tcp://10.0.9.4:9999"),
        ("docker://edge=no", None),
        ("docker://other", None),
        ("docker://haproxy.runtime", "tcp://10.0.9.4:8765"),
        ("docker://haproxy.runtime?port=7", "tcp://10.0.9.4:7"),
        ("swarm://lb_haproxy", "tcp://10.0.9.4:9999"),
        ("swarm://haproxy", "tcp://10.0.9.4:9999"),
        ("swarm://haproxy?tls=1&port=1", "tls://10.0.9.4:1"),
        ("swarm://prox", None),
    ],
)
def test_where_an_instance_is(source: str, url: str | None) -> None:
    """The source says which port and how; the address is by the rules of endpoints."""
    found = instance_of(source_of(source), haproxy(), Context())
    if url is None:
        assert found is None
    else:
        assert found == Instance(url, haproxy().name, haproxy().id, source)


@pytest.mark.parametrize(
    ("source", "value", "port"),
    [
        ("docker://edge", "8404", 8404),
        ("docker://edge", "1", 9999),
        ("docker://edge", "65536", 9999),
        ("docker://edge=8404", "8404", 9999),
    ],
)
def test_a_label_is_a_port_only_where_it_can_be_meant_so(
    source: str, value: str, port: int
) -> None:
    """`edge=1` says yes, and a value that was asked for says which ones."""
    found = instance_of(
        source_of(source), haproxy(labels={**LABELS, "edge": value}), Context()
    )
    assert isinstance(found, Instance)
    assert found.url == f"tcp://10.0.9.4:{port}"


def test_its_network_is_chosen_as_an_endpoints() -> None:
    """By name, short name, or the one shared; and what is not clear is said."""
    both = haproxy(networks=(FRONT, RUNTIME))
    named = instance_of(source_of("swarm://haproxy?network=runtime"), both, Context())
    assert isinstance(named, Instance)
    assert named.url == "tcp://10.0.9.4:9999"
    shared = Context(shared_networks=frozenset({"front"}))
    found = instance_of(source_of("swarm://haproxy"), both, shared)
    assert isinstance(found, Instance)
    assert found.url == "tcp://10.0.1.4:9999"
    unclear = instance_of(source_of("swarm://haproxy"), both, Context())
    assert isinstance(unclear, Problem)
    assert "is on several" in unclear.reason


def test_an_ipv6_address_stands_in_brackets() -> None:
    """Else its port would be a part of it."""
    six = haproxy(networks=(Attachment(network="n", ipv6="fd00::4"),))
    found = instance_of(source_of("swarm://haproxy"), six, Context())
    assert isinstance(found, Instance)
    assert found.url == "tcp://[fd00::4]:9999"


def test_one_that_does_not_run_is_none() -> None:
    """It would not answer."""
    source = source_of("swarm://haproxy")
    for one in (haproxy(is_running=False), haproxy(is_paused=True)):
        assert instance_of(source, one, Context()) is None


def test_one_that_is_about_to_end_is_one_until_it_has() -> None:
    """It has sessions, so its slots count; and whoever stays at its address comes first."""
    leaving = haproxy(1, is_stopping=True)
    found = Instances([source_of("swarm://haproxy")])
    found.update({leaving.id: leaving}, {}, Context())
    assert [one.is_leaving for one in found.found.values()] == [True]
    successor = haproxy(2)
    assert found.update({successor.id: successor}, {}, Context())
    (one,) = found.found.values()
    assert (one.is_leaving, one.container) == (False, successor.name)


def test_the_network_of_a_source_comes_before_labels() -> None:
    """Labels say where its traffic goes, the source where its runtime socket is."""
    both = haproxy(
        networks=(FRONT, RUNTIME),
        labels={
            **LABELS,
            "haproxy.network": "front",
            "haproxy.address": "10.9.9.9",
        },
    )
    found = instance_of(source_of("swarm://haproxy?network=runtime"), both, Context())
    assert isinstance(found, Instance)
    assert found.url == "tcp://10.0.9.4:9999"
    missing = instance_of(source_of("swarm://haproxy?network=x"), both, Context())
    assert isinstance(missing, Problem)
    assert missing.reason.endswith(
        "attach it, or correct network= in swarm://haproxy?network=x"
    )


def test_what_one_source_cannot_reach_another_may() -> None:
    """Then nothing is wrong; and a source that finds what others found finds something."""
    one = haproxy()
    sources = ["docker://edge?network=x", "docker://edge", "swarm://haproxy"]
    found = Instances(map(source_of, sources))
    found.update({one.id: one}, {}, Context())
    assert list(found.found) == ["tcp://10.0.9.4:9999"]
    assert found.problems == []
    assert found.nameless_problems == []


def test_instances_come_and_go_with_their_containers() -> None:
    """One that two sources find is one; who has no address is told of."""
    found = Instances(
        [
            source_of("docker://edge"),
            source_of("swarm://haproxy"),
            source_of("swarm://x"),
        ]
    )
    one, two = haproxy(1), haproxy(2, networks=(FRONT,))
    bad = haproxy(3, networks=())
    everybody = {each.id: each for each in (one, two, bad)}
    assert found.update(everybody, everybody, Context())
    assert sorted(found.found) == ["tcp://10.0.1.4:9999", "tcp://10.0.9.4:9999"]
    assert found.problems[0].startswith(
        f"container {bad.name} is meant by docker://edge, but it is on no network"
    )
    assert found.problems[1].startswith(
        f"container {bad.name} is meant by swarm://haproxy, but it is on no network"
    )
    assert found.problems[2:] == ["no haproxy found by swarm://x"]
    assert found.nameless_problems == [
        "no address is known of 1 container meant by docker://edge",
        "no address is known of 1 container meant by swarm://haproxy",
        "no haproxy found by swarm://x",
    ]
    assert not found.update({one.id: one}, everybody, Context())
    assert found.update({one.id: None, bad.id: None}, {two.id: two}, Context())
    assert sorted(found.found) == ["tcp://10.0.1.4:9999"]


def test_another_context_may_mean_another_address() -> None:
    """Whoever was found is looked at again, though nothing happened to it."""
    found = Instances([source_of("swarm://haproxy")])
    both = haproxy(networks=(FRONT, RUNTIME))
    all_ = {both.id: both}
    found.update(all_, all_, Context(network="front"))
    assert list(found.found) == ["tcp://10.0.1.4:9999"]
    assert found.update({}, all_, Context(network="runtime"))
    assert list(found.found) == ["tcp://10.0.9.4:9999"]


def test_the_labels_to_keep() -> None:
    """Others are thrown away where Docker is read."""
    sources = [source_of("docker://edge=1"), source_of("swarm://haproxy")]
    assert labels_of(sources) == {"edge"}
