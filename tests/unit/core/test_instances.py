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
from reconciler.core.model import SERVICE_NAME, STACK, Attachment, Container
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


def test_one_that_stops_is_none_any_more() -> None:
    """It will not answer, and its end is no trouble to be told of."""
    source = source_of("swarm://haproxy")
    for one in (
        haproxy(is_running=False),
        haproxy(is_paused=True),
        haproxy(is_stopping=True),
    ):
        assert instance_of(source, one, Context()) is None


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
    assert found.problems[1:] == [
        "no haproxy found by swarm://haproxy",
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
