"""Whose names a container has, as an engine tells of it: what is kept, and what is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.scripted_engine import ScriptedEngine
from tests.scripted_engine.model import digest
from tests.scripted_engine.views import inspect, list_entry
from tests.unit.discovery.conftest import watching

from reconciler.config import Settings
from reconciler.core.membership import Maker
from reconciler.core.placement import Context, Refused, address_on, backends_of
from reconciler.discovery.engine import Engine
from reconciler.discovery.inspect import container_from_inspect, container_from_list
from reconciler.rules import context_for


NAMES = {"com.docker.compose.project": "demo", "com.docker.compose.service": "web"}
COMPOSE = {
    **NAMES,
    "com.docker.compose.config-hash": "472b4bce",
    "com.docker.compose.container-number": "1",
    "com.docker.compose.depends_on": "",
    "com.docker.compose.image": f"sha256:{digest('image', 'web:1')}",
    "com.docker.compose.oneoff": "False",
    "com.docker.compose.version": "2.26.1",
}
"""What Compose 2.26 puts on a container of image ``web:1``."""


@pytest.fixture
async def engine(scripted: ScriptedEngine) -> AsyncIterator[Engine]:
    """Ask the scripted engine."""
    one = Engine(scripted.url, timeout_seconds=2.0)
    yield one
    await one.aclose()


async def makers(engine: Engine) -> dict[str, Maker]:
    """Return who made each container that is listed."""
    return {one.name: one.identity.maker for one in await engine.containers()}


def test_of_a_usual_container_three_labels_are_kept(scripted: ScriptedEngine) -> None:
    """There may be 10,000 of them; a list and an inspect keep the same."""
    one = scripted.run("demo-web-1", labels=COMPOSE, image="web:1")
    listed = container_from_list(list_entry(one, scripted.networks, 0))
    inspected = container_from_inspect(inspect(one, scripted.networks))

    kept = {**NAMES, "com.docker.compose.config-hash": "472b4bce"}
    assert listed.labels == kept
    assert listed == inspected
    assert listed.image == digest("image", "web:1")


def test_labels_that_are_asked_for_are_kept(scripted: ScriptedEngine) -> None:
    """HAProxies may be found by any label."""
    one = scripted.run("demo-web-1", labels=COMPOSE, image="web:1")
    wanted = "com.docker.compose.oneoff"
    listed = container_from_list(list_entry(one, scripted.networks, 0), {wanted})

    assert listed.labels[wanted] == "False"


async def test_nobody_of_composes_own_is_inspected_for_a_list(
    scripted: ScriptedEngine, engine: Engine
) -> None:
    """The image's id, or the name, tells."""
    scripted.run("custom", labels=COMPOSE, image="web:1")
    scripted.run("demo-web-1", labels=COMPOSE, image="web:2")
    scripted.run("plain", labels=NAMES)

    assert await makers(engine) == {
        "custom": Maker.COMPOSE,
        "demo-web-1": Maker.COMPOSE,
        "plain": Maker.IMAGE,
    }
    assert scripted.requests.inspects == 0


async def test_who_may_be_a_copy_is_inspected_once(
    scripted: ScriptedEngine, engine: Engine
) -> None:
    """Its alias tells, and is remembered; another request does not find another answer."""
    scripted.run("copy", labels=COMPOSE, image="web:2", aliases=["0123456789ab"])
    known = scripted.run("custom", labels=COMPOSE, image="web:2", aliases=["web"])
    expected = {"copy": Maker.COPY, "custom": Maker.COMPOSE}

    assert await makers(engine) == expected
    assert await makers(engine) == expected
    some = await engine.containers_of([known.id])
    assert some[known.id].identity.maker is Maker.COMPOSE
    assert scripted.requests.inspects == 2


async def test_a_copy_that_cannot_be_inspected_holds_nothing_up(
    scripted: ScriptedEngine, engine: Engine
) -> None:
    """The list counts, and the next one asks again."""
    scripted.run("custom", labels=COMPOSE, image="web:2", aliases=["web"])
    scripted.faults.fail("/containers/*/json", count=1)

    assert await makers(engine) == {"custom": Maker.COPY}
    assert await makers(engine) == {"custom": Maker.COMPOSE}


async def test_a_watcher_knows_a_copy_by_every_reading(
    scripted: ScriptedEngine,
) -> None:
    """After its start, and at every resync: what it goes by does not flap."""
    scripted.run("custom-1", labels=COMPOSE, image="web:2", aliases=["web"])
    async with watching(scripted.url, resync_seconds=0.05) as sink:
        await sink.until(lambda: sink.lists == 1, "a list")
        scripted.run("copy", labels=COMPOSE, image="web:2")
        scripted.run("custom-2", labels=COMPOSE, image="web:2", aliases=["web"])
        await sink.until_names("copy", "custom-1", "custom-2")
        told = sink.lists
        await sink.until(lambda: sink.lists > told + 2, "two resyncs")

        services = {one.name: one.service for one in sink.known.values()}
        assert services == {"copy": None, "custom-1": "web", "custom-2": "web"}
        changed = [id_ for changes, _ in sink.changes for id_ in changes]
        assert len(changed) == len(set(changed))


@pytest.mark.parametrize(
    ("labels", "name", "expected"),
    [
        (COMPOSE, "demo-reconciler-1", {"demo"}),
        ({**COMPOSE, "com.docker.compose.oneoff": "True"}, "run", {"demo"}),
        (NAMES, "reconciler", None),
        (
            {
                **NAMES,
                "com.docker.stack.namespace": "shop",
                "com.docker.swarm.service.name": "shop_reconciler",
                "com.docker.swarm.task.id": "t1",
            },
            "shop_reconciler.1.t1",
            {"shop"},
        ),
    ],
    ids=["compose", "one-off", "image", "task"],
)
def test_the_reconcilers_own_project_is_the_one_it_was_made_in(
    *,
    scripted: ScriptedEngine,
    labels: dict[str, str],
    name: str,
    expected: set[str] | None,
) -> None:
    """Its image may have been built by Compose, in a project that nothing runs of."""
    one = scripted.run(name, labels=labels, image="web:1")
    own = container_from_list(list_entry(one, scripted.networks, 0))
    settings = Settings(haproxy=("unix:///run/haproxy.sock",))

    assert context_for(settings, own.id)({own.id: own}).projects == expected


def test_a_borrowed_project_gives_no_short_name_to_a_network(
    scripted: ScriptedEngine,
) -> None:
    """`front` is `demo_front` in project demo, and nowhere else."""
    one = scripted.run("plain", labels=NAMES, networks={"demo_front": "127.10.9.1"})
    listed = container_from_list(list_entry(one, scripted.networks, 0))

    assert isinstance(address_on(listed, "front"), Refused)
    assert isinstance(backends_of(listed, Context()), Refused)
