"""Containers with no place, planted in a scripted engine before a real HAProxy."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import pytest
from tests.integration.daemon.conftest import WEB
from tests.integration.doctor.planting import codes, settings_for, the, troubles
from tests.scripted_engine import ScriptedEngine
from tests.scripted_engine.model import Options
from tests.support.haproxy_process import BASE_CFG, HaproxyProcess, haproxy_process

from reconciler.doctor import Code


pytestmark = pytest.mark.integration


@dataclass(frozen=True, kw_only=True)
class Bad:
    """A container as it was started, what is found, and how it is started rightly."""

    code: Code
    options: Options
    text: str
    mend: str
    mended: Options = field(default_factory=Options)


def labelled(**labels: str) -> Options:
    """Return options of a container of service web with labels ``haproxy.…``."""
    more = {f"haproxy.{key}": value for key, value in labels.items()}
    return {"labels": {**WEB, **more}}


PLAIN: Options = {"labels": WEB}
BACKEND = "haproxy.backend"
ONE_OFF = {**WEB, "com.docker.compose.oneoff": "true"}
TWO_NETWORKS: Options = {"networks": {"front": "127.10.9.1", "back": "127.10.9.2"}}
ROWS = {
    "bad-label": Bad(
        code=Code.CONTAINER_LABEL,
        options=labelled(port="80;quit"),
        text='label "haproxy.port" is "80;quit": it must be an integer',
        mend="`docker compose up -d`",
    ),
    "unknown-label": Bad(
        code=Code.CONTAINER_LABEL_UNKNOWN,
        options=labelled(prot="80"),
        text='label "haproxy.prot" means nothing here',
        mend="did you mean `haproxy.port`?",
    ),
    "unknown-backend": Bad(
        code=Code.CONTAINER_BACKEND,
        options=labelled(backend="wbe"),
        text='no backend "wbe" with slots',
        mend="did you mean `haproxy.backend: web`?",
    ),
    "no-such-backend": Bad(
        code=Code.CONTAINER_BACKEND,
        options=labelled(backend="shop"),
        text='no backend "shop" with slots',
        mend="name one of the backends that have slots: echo, web",
    ),
    "no-port": Bad(
        code=Code.CONTAINER_PORT,
        options={**PLAIN, "ports": []},
        text="its port is not clear (exposed TCP ports: none)",
        mend='write label `haproxy.port:` with "PORT"',
        mended={**labelled(port="8000"), "ports": []},
    ),
    "several-ports": Bad(
        code=Code.CONTAINER_PORT,
        options={**PLAIN, "ports": [80, 443]},
        text="its port is not clear (exposed TCP ports: 80, 443)",
        mend='write label `haproxy.port:` with "80" or "443"',
        mended={**labelled(port="80"), "ports": [80, 443]},
    ),
    "several-networks": Bad(
        code=Code.CONTAINER_ADDRESS,
        options={**PLAIN, **TWO_NETWORKS},
        text="it is on several networks (back, front)",
        mend="write label `haproxy.network: back` or `haproxy.network: front`",
        mended={**labelled(network="front"), **TWO_NETWORKS},
    ),
    "host-network": Bad(
        code=Code.CONTAINER_ADDRESS,
        options={**PLAIN, "networks": {"host": ""}, "network_mode": "host"},
        text="it has no address of its own",
        mend='write labels `haproxy.address: "ADDRESS"`, that of this machine',
        mended={
            **labelled(address="127.10.9.3"),
            "networks": {"host": ""},
            "network_mode": "host",
        },
    ),
    "no-network": Bad(
        code=Code.CONTAINER_ADDRESS,
        options={**PLAIN, "networks": {"none": ""}, "network_mode": "none"},
        text='it has no address of its own on network "none"',
        mend="remove `network_mode: none` from it and recreate it",
    ),
    "the-network-of-one-unknown": Bad(
        code=Code.CONTAINER_ADDRESS,
        options={**PLAIN, "networks": {}, "network_mode": f"container:{'ab' * 32}"},
        text="it is on no network",
        mend="on container abababababab, whose network and address it shares",
    ),
    "disabled": Bad(
        code=Code.CONTAINER_DISABLED,
        options=labelled(enable="no"),
        text="label haproxy.enable keeps it out",
        mend='remove label `haproxy.enable: "no"`',
    ),
    "one-off": Bad(
        code=Code.CONTAINER_ONE_OFF,
        options={"labels": ONE_OFF},
        text="it is a one-off of `compose run`: no traffic for it",
        mend="else start the service itself by `docker compose up --detach`",
    ),
    "one-off-of-a-labelled-service": Bad(
        code=Code.CONTAINER_ONE_OFF,
        options={"labels": {**ONE_OFF, BACKEND: "web"}},
        text="no traffic for it, whatever its labels say",
        mend="nothing, if that is meant so",
    ),
    "image-that-compose-built": Bad(
        code=Code.CONTAINER_BORROWED_NAME,
        options={"labels": {**WEB, "com.docker.compose.container-number": ""}},
        text="no traffic for it: the service's name \"web\" is its image's",
        mend="else name its backend by label haproxy.backend, or start it by Compose",
    ),
    "copy-of-a-container": Bad(
        code=Code.CONTAINER_BORROWED_NAME,
        options={"labels": {**WEB, "com.docker.compose.image": "sha256:other"}},
        text='the service\'s name "web" is of the container that its image was made of',
        mend="name its backend by label haproxy.backend",
    ),
    "starting": Bad(
        code=Code.CONTAINER_WAITS,
        options={**PLAIN, "health": "starting"},
        text="its HEALTHCHECK has not passed yet",
        mend="`reconciler explain bad-1`",
    ),
    "unhealthy": Bad(
        code=Code.CONTAINER_UNHEALTHY,
        options={**PLAIN, "health": "unhealthy"},
        text="HEALTHCHECK calls it unhealthy",
        mend="`docker inspect --format '{{json .State.Health}}' bad-1`",
        mended={**PLAIN, "health": "healthy"},
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_a_container_with_no_place(
    haproxy3: HaproxyProcess, engine: ScriptedEngine, row: Bad
) -> None:
    """It is named with the reason and the label to write; started so, all is well."""
    if row.code is Code.CONTAINER_PORT:
        # Free slots that agree would tell the port.
        haproxy3.raw("set server web/slot64 addr 127.255.255.1 port 9100")
    settings = settings_for(haproxy3.url, engine=engine)
    engine.run("bad-1", **row.options)
    found = await troubles(settings)
    engine.remove("bad-1")
    engine.run("good-1", **(row.mended or PLAIN))
    after = await troubles(settings)

    one = the(row.code, found)
    assert one.thing == "container bad-1"
    assert row.text in one.text
    assert row.mend in one.mend
    assert codes(found) == {row.code.text}
    assert after == []


async def test_the_network_of_another_container(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """As by `network_mode: service:vpn`: the labels that work stand on that one."""
    settings = settings_for(haproxy3.url, engine=engine)
    vpn = {"com.docker.compose.project": "demo", "com.docker.compose.service": "vpn"}
    owner = engine.run("vpn-1", labels=vpn)
    shared: Options = {"networks": {}, "network_mode": f"container:{owner.id}"}
    plain: Options = {**PLAIN, **shared}
    silenced: Options = {**labelled(enable="false"), **shared}
    engine.run("web-1", **plain)
    found = await troubles(settings)
    engine.remove("web-1")
    engine.remove("vpn-1")
    engine.run("vpn-1", labels=vpn | {"haproxy.backends.web.port": "8000"})
    engine.run("web-1", **silenced)
    after = await troubles(settings)

    one = the(Code.CONTAINER_ADDRESS, found)
    assert one.thing == "container web-1"
    assert '`haproxy.backends.web.port: "PORT"` on container vpn-1' in one.mend
    assert '`haproxy.enable: "false"` on this one' in one.mend
    assert codes(found) == {Code.CONTAINER_ADDRESS.text}
    assert codes(after) == {Code.CONTAINER_DISABLED.text}


HOST: Options = {"networks": {"host": ""}, "network_mode": "host"}


@pytest.mark.parametrize(
    ("options", "mend", "mended"),
    [
        pytest.param({}, "remove label `haproxy.address`", PLAIN, id="its-own-address"),
        pytest.param(
            HOST,
            "have its program listen on another port",
            {**HOST, **labelled(address="127.10.9.3", port="8001")},
            id="host",
        ),
        pytest.param(
            {"networks": {}, "network_mode": "container:0123"},
            'write label `haproxy.enable: "false"`',
            PLAIN,
            id="another-s-network",
        ),
    ],
)
async def test_two_containers_at_one_address(
    haproxy3: HaproxyProcess,
    engine: ScriptedEngine,
    options: Options,
    mend: str,
    mended: Options,
) -> None:
    """The younger one has no slot, and what is named gives it one."""
    settings = settings_for(haproxy3.url, engine=engine)
    both: Options = {**options, **labelled(address="127.10.9.3")}
    engine.run("web-1", **both)
    engine.jump_clock(5)
    engine.run("web-2", **both)
    found = await troubles(settings)
    engine.remove("web-2")
    engine.run("web-2", **mended)
    after = await troubles(settings)

    one = the(Code.CONTAINER_DUPLICATE, found)
    assert one.thing == "container web-2"
    assert "container web-1 has the same address and port" in one.text
    assert mend in one.mend
    assert after == []


async def test_a_health_check_that_never_passes(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """After two minutes of starting it is no longer only a note."""
    engine.run("web-1", labels=WEB, health="starting")
    engine.jump_clock(600)

    found = await troubles(settings_for(haproxy3.url, engine=engine))

    one = the(Code.CONTAINER_STARTING_LONG, found)
    assert "its HEALTHCHECK has not passed in 10 min" in one.text
    assert "docker inspect" in one.mend


async def test_a_network_that_haproxy_is_not_on(engine: ScriptedEngine) -> None:
    """HAProxy's own container is known by its node name: its networks are what counts."""
    haproxy_container = engine.run("haproxy-1", networks={"front": "127.10.9.1"})
    engine.run("web-1", labels=WEB, networks={"back": "127.10.9.2"})
    engine.run("web-2", labels=WEB, networks={"front": "127.10.9.3"})
    node = f"node {haproxy_container.id[:12]}\n    stats timeout 1h"
    text = BASE_CFG.read_text().replace("stats timeout 1h", node)
    with haproxy_process("3.0", config=text) as haproxy:
        settings = settings_for(haproxy.url, engine=engine)
        found = await troubles(settings)
        engine.connect(haproxy_container, "back")
        after = await troubles(settings)

    one = the(Code.NETWORK_NOT_SHARED, found)
    assert one.thing == "container web-1"
    assert "is on network back, and HAProxy is on front" in one.text
    assert "`networks: [front]`" in one.mend
    assert codes(found) == {Code.NETWORK_NOT_SHARED.text}
    assert after == []


VAIN = {
    Code.PROJECT_UNKNOWN: (
        {"projects": ("Demo",)},
        'no running container is of project "Demo"',
        "did you mean demo? correct --project",
    ),
    Code.NETWORK_UNKNOWN: (
        {"network": "frnt"},
        'no running container is on network "frnt"',
        "did you mean front? correct --network",
    ),
    Code.BACKEND_PORT_UNKNOWN: (
        {"backend_ports": {"wbe": 80}},
        'no HAProxy has a backend "wbe" with slots',
        "did you mean web? correct --backend-port",
    ),
    Code.HAPROXY_NOT_FOUND: (
        {"haproxy": ("docker://com.docker.compose.service=WEB",)},
        "no haproxy found by docker://com.docker.compose.service=WEB",
        "did you mean web? start HAProxy with that label",
    ),
}


@pytest.mark.parametrize("code", VAIN, ids=lambda code: code.text)
async def test_a_setting_that_means_nobody(
    haproxy3: HaproxyProcess, engine: ScriptedEngine, code: Code
) -> None:
    """It is told, with the name that is close."""
    engine.run("web-1", labels=WEB, networks={"front": "127.10.9.1"})
    changes, text, mend = VAIN[code]
    settings = settings_for(haproxy3.url, engine=engine)
    settings = dataclasses.replace(settings, **changes)  # type: ignore[arg-type] # by name

    found = await troubles(settings)

    one = the(code, found)
    assert one.text == text
    assert one.mend.startswith(mend)


async def test_settings_that_mean_somebody(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """Also by the short name that Compose knows a network by."""
    engine.run("web-1", labels=WEB, networks={"demo_front": "127.10.9.1"})
    settings = dataclasses.replace(
        settings_for(haproxy3.url, engine=engine),
        projects=("demo",),
        network="front",
        backend_ports={"web": 80},
    )

    assert await troubles(settings) == []
