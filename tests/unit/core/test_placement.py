"""Each rule of where a container goes: what is accepted, and the reason for what is not."""

from __future__ import annotations

import ipaddress
import re

import pytest
from hypothesis import given, strategies as st
from tests.fakes.containers import container

from reconciler.core.desired import claims_of
from reconciler.core.model import (
    Attachment,
    Cause,
    Container,
    Endpoint,
    Health,
    Rotation,
)
from reconciler.core.placement import (
    Context,
    Found,
    Refused,
    address_of,
    backends_of,
    is_enabled,
    port_of,
    rotation_of,
    weight_of,
)


ANYWHERE = Context()
HUGE = "A" * 255 * 1024
HOSTILE = [
    pytest.param("80;shutdown sessions server web/slot1", id="semicolon"),
    pytest.param("80\nset server web/slot1 state maint", id="newline"),
    pytest.param("80\r", id="carriage-return"),
    pytest.param("80\x00", id="nul"),
    pytest.param("<<", id="payload"),
    pytest.param("\\", id="backslash"),
    pytest.param("", id="empty"),
    pytest.param(" ", id="space"),
    pytest.param(HUGE, id="255-kB"),
    pytest.param("8" * 255 * 1024, id="255-kB-of-digits"),
    pytest.param("\x1b[31mred", id="escape"),
]
FRONT = Attachment(network="front", ipv4="10.1.0.1")
BACK = Attachment(network="demo_back", ipv4="10.2.0.1")
SIX = Attachment(network="six", ipv6="fd00:0:0::0001")


def refusal(answer: object) -> tuple[Cause, str]:
    """Return why a rule refused."""
    assert isinstance(answer, Refused), answer
    return answer.cause, answer.reason


def value(answer: object) -> object:
    """Return what a rule found."""
    assert isinstance(answer, Found), answer
    return answer.value


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param({}, True, id="no-label"),
        pytest.param({"haproxy.enable": "true"}, True, id="true"),
        pytest.param({"haproxy.enable": "TRUE "}, True, id="upper-case-and-space"),
        pytest.param({"haproxy.enable": "on"}, True, id="on"),
        pytest.param({"haproxy.enable": "false"}, False, id="false"),
        pytest.param({"haproxy.enable": "No"}, False, id="no"),
        pytest.param({"haproxy.enable": "0"}, False, id="0"),
    ],
)
def test_enable_label(labels: dict[str, str], *, expected: bool) -> None:
    """A container is placed unless its label says no."""
    assert value(is_enabled(container(labels=labels))) is expected


@pytest.mark.parametrize("text", HOSTILE)
def test_enable_label_that_is_neither(text: str) -> None:
    """Anything else than a yes or a no is refused with label, value and accepted form."""
    cause, reason = refusal(is_enabled(container(labels={"haproxy.enable": text})))

    assert cause is Cause.BAD_LABEL
    assert '"haproxy.enable"' in reason
    assert reason.endswith("it must be true or false")
    assert reason.isprintable()
    assert len(reason) < 2000


@pytest.mark.parametrize(
    ("labels", "projects", "expected"),
    [
        pytest.param({}, None, ["web"], id="service-name"),
        pytest.param({}, {"demo"}, ["web"], id="service-name-in-covered-project"),
        pytest.param({"haproxy.backend": "api"}, None, ["api"], id="label"),
        pytest.param(
            {"haproxy.backend": "api"}, {"other"}, ["api"], id="label-anywhere"
        ),
        pytest.param(
            {"haproxy.backends.b.port": "1", "haproxy.backends.a.weight": "2"},
            None,
            ["a", "b"],
            id="several",
        ),
        pytest.param(
            {"haproxy.backends.a.port": "1", "haproxy.backends.a.weight": "2"},
            None,
            ["a"],
            id="several-settings-of-one",
        ),
        pytest.param(
            {"haproxy.backends.a.b.port": "1"}, None, ["a.b"], id="dot-in-name"
        ),
        pytest.param(
            {"haproxy.backends.a.port": "1", "haproxy.backend": "b"},
            None,
            ["a"],
            id="several-win-over-one",
        ),
        pytest.param(
            {
                "com.docker.compose.service": "",
                "com.docker.swarm.service.name": "swarmed",
            },
            None,
            ["swarmed"],
            id="swarm-service",
        ),
    ],
)
def test_backends(
    labels: dict[str, str], projects: set[str] | None, expected: list[str]
) -> None:
    """Labels name the backends; without them the service of a covered project does."""
    context = Context(projects=None if projects is None else frozenset(projects))

    assert value(backends_of(container(labels=labels), context)) == expected


def test_service_of_a_project_not_covered() -> None:
    """A service's name does not count outside the covered projects, and this is said."""
    context = Context(projects=frozenset({"other"}))

    cause, reason = refusal(backends_of(container(), context))

    assert cause is Cause.UNKNOWN_BACKEND
    assert "haproxy.backend" in reason
    assert "other" in reason


def test_no_label_and_no_service() -> None:
    """A container of no service and without a label asks for no backend."""
    plain = Container(id="1", name="plain", labels={}, is_running=True)

    cause, reason = refusal(backends_of(plain, ANYWHERE))

    assert cause is Cause.UNKNOWN_BACKEND
    assert "belongs to no Compose or Swarm service" in reason


@pytest.mark.parametrize(
    "text",
    ["\x1b[2J", "web\nforged line", "a b", HUGE],
    ids=["escape", "newline", "space", "255-kB"],
)
def test_service_that_cannot_be_a_backend(text: str) -> None:
    """A service's label is as hostile as any: it never becomes a backend's name as it is."""
    labels = {"com.docker.compose.service": text, "haproxy.port": "80"}

    cause, reason = refusal(backends_of(container(labels=labels), ANYWHERE))

    assert cause is Cause.UNKNOWN_BACKEND
    assert "cannot be the name of a backend" in reason
    assert reason.isprintable()
    assert len(reason) < 2000


@pytest.mark.parametrize("text", HOSTILE)
def test_backend_label_that_is_no_name(text: str) -> None:
    """What cannot be the name of a backend is a bad label, shown escaped and cut."""
    labels = {"haproxy.backend": text}

    cause, reason = refusal(backends_of(container(labels=labels), ANYWHERE))

    assert cause is Cause.BAD_LABEL
    assert "it must be the name of one HAProxy backend" in reason
    assert reason.isprintable()
    assert len(reason) < 2000


@pytest.mark.parametrize(
    "key",
    [
        "haproxy.backends.",
        "haproxy.backends.port",
        "haproxy.backends.web.prot",
        "haproxy.backends.we b.port",
        "haproxy.backends.web;x.port",
        f"haproxy.backends.{'w' * 129}.port",
    ],
)
def test_backends_label_of_unknown_form(key: str) -> None:
    """A misspelt label is told by its name, and not taken for silence."""
    cause, reason = refusal(backends_of(container(labels={key: "80"}), ANYWHERE))

    assert cause is Cause.BAD_LABEL
    assert f'"{key}"' in reason
    assert "haproxy.backends.NAME.port" in reason


@pytest.mark.parametrize(
    ("labels", "networks", "context", "expected"),
    [
        pytest.param({}, [FRONT], ANYWHERE, "10.1.0.1", id="only-network"),
        pytest.param({}, [SIX], ANYWHERE, "fd00::1", id="ipv6-only-canonical"),
        pytest.param(
            {},
            [Attachment(network="both", ipv4="10.3.0.1", ipv6="fd00::3")],
            ANYWHERE,
            "10.3.0.1",
            id="ipv4-before-ipv6",
        ),
        pytest.param(
            {},
            [FRONT, BACK],
            Context(shared_networks=frozenset({"front", "else"})),
            "10.1.0.1",
            id="the-one-shared-network",
        ),
        pytest.param(
            {}, [FRONT, BACK], Context(network="front"), "10.1.0.1", id="by-option"
        ),
        pytest.param(
            {}, [FRONT, BACK], Context(network="back"), "10.2.0.1", id="by-short-name"
        ),
        pytest.param(
            {"haproxy.network": "back"},
            [FRONT, BACK],
            Context(network="front"),
            "10.2.0.1",
            id="label-over-option",
        ),
        pytest.param(
            {"haproxy.network": "back"},
            [FRONT, BACK],
            Context(shared_networks=frozenset({"front"})),
            "10.2.0.1",
            id="label-over-shared",
        ),
        pytest.param(
            {"haproxy.address": "192.0.2.7"},
            [Attachment(network="host")],
            ANYWHERE,
            "192.0.2.7",
            id="address-label-with-host-network",
        ),
        pytest.param(
            {"haproxy.address": "FD00:0::9"},
            [FRONT],
            ANYWHERE,
            "fd00::9",
            id="label-ipv6",
        ),
        pytest.param(
            {},
            [BACK],
            Context(shared_networks=frozenset({"front"})),
            "10.2.0.1",
            id="only",
        ),
    ],
)
def test_address(
    labels: dict[str, str],
    networks: list[Attachment],
    context: Context,
    expected: str,
) -> None:
    """The address comes from the label, the network asked for, shared, or the only one."""
    one = container(labels=labels, networks=networks)

    assert value(address_of(one, context)) == expected


@pytest.mark.parametrize(
    ("one", "context", "words"),
    [
        pytest.param(
            container(networks=[FRONT, BACK]),
            ANYWHERE,
            ["is on several", "front, demo_back", "haproxy.network"],
            id="two-networks",
        ),
        pytest.param(
            container(networks=[FRONT, BACK]),
            Context(shared_networks=frozenset({"front", "demo_back"})),
            ["shares several networks", "--network"],
            id="two-shared-networks",
        ),
        pytest.param(
            container(networks=[FRONT]),
            Context(network="nowhere"),
            ['not attached to the network "nowhere"', "its networks: front"],
            id="unknown-network",
        ),
        pytest.param(
            container(labels={"haproxy.network": "no;where\n"}, networks=[]),
            ANYWHERE,
            ['"no;where\\n"', "its networks: none"],
            id="hostile-network-name",
        ),
        pytest.param(
            container(networks=[Attachment(network="host")], network_mode="host"),
            ANYWHERE,
            ["no address of its own", '"host"', "haproxy.address"],
            id="host-network",
        ),
        pytest.param(
            container(networks=[], network_mode="container:0123"),
            ANYWHERE,
            [
                "on no network",
                '"container:0123"',
                "put the labels, with the port, on the container whose network it shares",
            ],
            id="network-of-another-container",
        ),
        pytest.param(
            container(networks=[Attachment(network="none")], network_mode="none"),
            ANYWHERE,
            ["no address of its own", '"none"', "no `network_mode: none`"],
            id="no-network",
        ),
        pytest.param(
            container(
                labels={"haproxy.network": "front"},
                networks=[Attachment(network="host")],
                network_mode="host",
            ),
            ANYWHERE,
            ["its networks: host", "haproxy.address", "haproxy.port"],
            id="asked-for-a-network-that-the-engine-refuses",
        ),
        pytest.param(
            container(networks=[Attachment(network="odd", ipv4="10.0.0.1/24")]),
            ANYWHERE,
            ["no address of its own", '"odd"'],
            id="no-address-in-what-docker-says",
        ),
    ],
)
def test_no_address(one: Container, context: Context, words: list[str]) -> None:
    """Where the address is not clear, the reason says what there is and how to choose."""
    cause, reason = refusal(address_of(one, context))

    assert cause is Cause.NO_ADDRESS
    assert [word for word in words if word not in reason] == []


@pytest.mark.parametrize(
    "text",
    [
        *HOSTILE,
        pytest.param("example.org", id="host-name"),
        pytest.param("10.0.0.1:80", id="with-port"),
        pytest.param("10.0.0.1 ", id="trailing-space"),
        pytest.param("010.0.0.1", id="octal"),
        pytest.param("10.1", id="short"),
        pytest.param("fe80::1%eth0", id="scope"),
        pytest.param("unix@/run/x", id="unix-socket"),
        pytest.param("٣.0.0.1", id="arabic-digit"),
        pytest.param("0.0.0.0", id="any"),
        pytest.param("::", id="any-6"),
        pytest.param("127.255.255.7", id="placeholder"),
    ],
)
def test_address_label_that_is_none(text: str) -> None:
    """Only one canonical, dialable address passes; the refusal names the label."""
    labels = {"haproxy.address": text}

    cause, reason = refusal(address_of(container(labels=labels), ANYWHERE))

    assert cause is Cause.BAD_LABEL
    assert '"haproxy.address"' in reason
    assert "it must be an" in reason
    assert reason.isprintable()


@pytest.mark.parametrize(
    ("labels", "exposed", "defaults", "expected"),
    [
        pytest.param({}, (8000,), {}, 8000, id="only-exposed"),
        pytest.param({}, (8000,), {"web": 90}, 8000, id="exposed-over-default"),
        pytest.param({}, (), {"web": 90}, 90, id="default-for-none"),
        pytest.param({}, (80, 443), {"web": 90}, 90, id="default-for-several"),
        pytest.param({"haproxy.port": "1"}, (8000,), {}, 1, id="label-least"),
        pytest.param({"haproxy.port": "65535"}, (), {}, 65535, id="label-most"),
        pytest.param(
            {"haproxy.backends.web.port": "81", "haproxy.port": "82"},
            (),
            {},
            81,
            id="label-of-the-backend",
        ),
        pytest.param(
            {"haproxy.backends.api.port": "81", "haproxy.port": "82"},
            (),
            {},
            82,
            id="label-of-another-backend",
        ),
    ],
)
def test_port(
    labels: dict[str, str],
    exposed: tuple[int, ...],
    defaults: dict[str, int],
    expected: int,
) -> None:
    """The port comes from labels, the only exposed port, or the backend's default."""
    one = container(labels=labels, tcp_ports=exposed)

    assert value(port_of(one, "web", Context(default_ports=defaults))) == expected


BAD_NUMBERS = [
    *HOSTILE,
    pytest.param("70000", id="70000"),
    pytest.param("abc", id="abc"),
    pytest.param("٣", id="arabic-digit"),
    pytest.param("-1", id="negative"),
    pytest.param("+80", id="plus"),
    pytest.param("80 ", id="trailing-space"),
    pytest.param("0x50", id="hexadecimal"),
    pytest.param("8_0", id="underscore"),
    pytest.param("80.0", id="fraction"),
    pytest.param("80/tcp", id="protocol"),
    pytest.param("000080", id="six-digits"),
]


@pytest.mark.parametrize("text", [*BAD_NUMBERS, pytest.param("0", id="0")])
@pytest.mark.parametrize("label", ["haproxy.port", "haproxy.backends.web.port"])
def test_port_label_that_is_none(label: str, text: str) -> None:
    """HAProxy would take 70000 for 4464 and 80abc for 80: here both are refused."""
    cause, reason = refusal(port_of(container(labels={label: text}), "web", ANYWHERE))

    assert cause is Cause.BAD_LABEL
    assert f'label "{label}" is "' in reason
    assert reason.endswith("it must be an integer from 1 to 65535")
    assert reason.isprintable()
    assert len(reason) < 2000


@pytest.mark.parametrize("exposed", [(), (80, 443)])
def test_no_port(exposed: tuple[int, ...]) -> None:
    """Without one clear port the reason lists what is exposed and how to tell it."""
    cause, reason = refusal(port_of(container(tcp_ports=exposed), "web", ANYWHERE))

    assert cause is Cause.NO_PORT
    assert "haproxy.port" in reason
    assert "--backend-port web=PORT" in reason
    assert ("80, 443" if exposed else "none") in reason


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param({}, None, id="template's-own"),
        pytest.param({"haproxy.weight": "0"}, 0, id="least"),
        pytest.param({"haproxy.weight": "256"}, 256, id="most"),
        pytest.param(
            {"haproxy.weight": "1", "haproxy.backends.web.weight": "2"},
            2,
            id="label-of-the-backend",
        ),
    ],
)
def test_weight(labels: dict[str, str], expected: int | None) -> None:
    """The weight is the label's, else the template's."""
    assert value(weight_of(container(labels=labels), "web")) == expected


@pytest.mark.parametrize("text", [*BAD_NUMBERS, pytest.param("257", id="257")])
def test_weight_label_that_is_none(text: str) -> None:
    """A weight is a plain integer that HAProxy knows."""
    labels = {"haproxy.weight": text}

    cause, reason = refusal(weight_of(container(labels=labels), "web"))

    assert cause is Cause.BAD_LABEL
    assert reason.endswith("it must be an integer from 0 to 256")


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        (Health.NONE, Rotation.READY),
        (Health.HEALTHY, Rotation.READY),
        (Health.UNHEALTHY, Rotation.DRAIN),
    ],
)
def test_rotation(health: Health, expected: Rotation) -> None:
    """A container serves unless its HEALTHCHECK fails."""
    assert value(rotation_of(container(health=health))) is expected


def test_starting_waits() -> None:
    """A container whose HEALTHCHECK has not passed yet is not placed."""
    cause, reason = refusal(rotation_of(container(health=Health.STARTING)))

    assert cause is Cause.STARTING
    assert "HEALTHCHECK has not passed yet" in reason


texts = st.text(max_size=12) | st.sampled_from(
    [
        "80",
        "0",
        "70000",
        "10.0.0.9",
        "fd00::9",
        "front",
        "true",
        "false",
        "a;b",
        "\n",
        "256",
    ]
)
keys = st.sampled_from(
    [
        "haproxy.enable",
        "haproxy.backend",
        "haproxy.port",
        "haproxy.weight",
        "haproxy.network",
        "haproxy.address",
        "haproxy.backends.api.port",
        "haproxy.backends.api.weight",
        "com.docker.compose.service",
        "com.docker.compose.project",
    ]
) | st.text(max_size=8).map(lambda text: f"haproxy.backends.{text}.port")


@given(
    labels=st.dictionaries(keys, texts),
    networks=st.lists(
        st.builds(Attachment, network=texts, ipv4=texts, ipv6=texts), max_size=3
    ),
    mode=texts,
    health=st.sampled_from(Health),
    projects=st.none() | st.frozensets(texts, max_size=2),
    network=st.none() | texts,
)
def test_label_text_leaves_only_as_checked_values(
    *,
    labels: dict[str, str],
    networks: list[Attachment],
    mode: str,
    health: Health,
    projects: frozenset[str] | None,
    network: str | None,
) -> None:
    """Whatever a container says: an address, integers in range, a harmless name, or a reason."""
    one = container(labels=labels, networks=networks, network_mode=mode, health=health)

    for claim in claims_of(one, Context(projects=projects, network=network)):
        outcome = claim.outcome
        if not isinstance(outcome, Endpoint):
            assert outcome.reason
            continue
        assert str(ipaddress.ip_address(outcome.address)) == outcome.address
        assert 1 <= outcome.port <= 65535
        assert outcome.weight is None or 0 <= outcome.weight <= 256
        assert re.fullmatch(r"[A-Za-z0-9_:.-]{1,128}", outcome.backend, re.ASCII)
