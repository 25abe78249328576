"""Whose names a container has, on a real engine with a real Compose, and requests counted."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.engine import CommandError, Engine, wait_until
from tests.support.intruders import Intruders
from tests.support.load import request
from tests.support.singles import Singles
from tests.support.stack import Stack


REQUESTS = 200
HASH = "com.docker.compose.config-hash"


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run one stack for all tests here, with one container of ``web``."""
    with Stack(engine, tmp_path_factory.mktemp("stack")) as started:
        started.wait_converged("web", 1)
        yield started


@pytest.fixture
def intruders(stack: Stack, tmp_path: Path) -> Iterator[Intruders]:
    """Run what looks like the service's containers, and is gone after the test."""
    with Intruders(stack, tmp_path) as started:
        yield started


async def answers(port: int) -> Counter[str]:
    """Send requests one after the other; return how many each container answered."""
    found: Counter[str] = Counter()
    for _ in range(REQUESTS):
        status, body = await request(port)
        found[body.split("\n")[0] if status == 200 else str(status)] += 1
    return found


def findings(stack: Stack) -> set[tuple[str, str]]:
    """Return what ``check`` finds, as code and thing."""
    try:
        told = stack.exec("reconciler", "reconciler", "check", "--json")
    except CommandError as error:
        raise AssertionError(str(error)) from error
    return {(one["code"], one["thing"]) for one in json.loads(told)["findings"]}


def explained(stack: Stack, name: str) -> str:
    """Return the first lines of ``explain``: who it is, and the answer."""
    said = stack.exec("reconciler", "reconciler", "explain", name)
    return " ".join("\n".join(said.splitlines()[:6]).split())


def assert_nobody_else_answers(stack: Stack, *own: str) -> None:
    """Everything sent is answered by these containers, each of them some of it."""
    found = asyncio.run(answers(stack.http_port))

    assert found.total() == REQUESTS
    assert set(found) == {one[:12] for one in own}


def assert_kept_out(stack: Stack, web: str) -> None:
    """Neither events nor a list have them: a later newcomer is ready, and nobody else.

    ``web`` is the service's one container. What happened before the newcomer's start has
    been looked at by then, and a plan made from a list alone finds nothing to do.
    """
    with Singles(stack) as singles:
        marker = singles.run(command=("python3", "-m", "http.server", "8000"))
        (own,) = json.loads(stack.engine.docker("inspect", web))
        network = own["NetworkSettings"]["Networks"][f"{stack.project}_default"]
        wanted = sorted([network["IPAddress"], marker.address])
        wait_until(
            lambda: stack.ready_addresses("web") == wanted,
            claim="the newcomer is ready, beside the service's own",
        )
        wait_until(
            lambda: "nothing to do" in stack.exec("reconciler", "reconciler", "plan"),
            claim="a plan made from a list has nothing to change",
        )
        stack.exec("reconciler", "reconciler", "drain", marker.name)
        wait_until(
            lambda: stack.ready_addresses("web") == [network["IPAddress"]],
            claim="only the service's own is left in rotation",
        )
        assert_nobody_else_answers(stack, web)


def test_a_one_off_gets_no_request(stack: Stack, intruders: Intruders) -> None:
    """`docker compose run web`, serving as the service does, also with labels of ours."""
    web = stack.container("web")
    plain = intruders.one_off("one-off")
    options = ("--label=haproxy.backend=web", "--label=haproxy.port=8000")
    labelled = intruders.one_off("labelled-one-off", *options)
    assert_kept_out(stack, web)

    found = findings(stack)
    for name in (plain, labelled):
        assert ("container-one-off", f"container {name}") in found
        assert "not placed: it is a one-off of `compose run`" in explained(stack, name)


@pytest.mark.parametrize("kind", ["built", "committed"])
def test_an_image_gives_nobody_its_names(
    stack: Stack, intruders: Intruders, kind: str
) -> None:
    """A plain `docker run` of it, on the project's network and on `bridge`."""
    web = stack.container("web")
    image = intruders.built() if kind == "built" else intruders.committed(web)
    labels = intruders.labels(image)
    assert labels["com.docker.compose.service"] == "web"
    assert (HASH in labels) is (kind == "committed")
    beside = intruders.plain(image, f"{kind}-beside", f"{stack.project}_default")
    away = intruders.plain(image, f"{kind}-away", "bridge")
    assert_kept_out(stack, web)

    found = findings(stack)
    for name in (beside, away):
        assert ("container-borrowed-name", f"container {name}") in found
        assert "not placed: it has no label haproxy.backend" in explained(stack, name)


def test_an_image_may_have_labels_of_ours(stack: Stack, intruders: Intruders) -> None:
    """With a label for its backend the same copy gets requests: somebody means it."""
    web = stack.container("web")
    image = intruders.committed(web)
    network = f"{stack.project}_default"
    label = ("--label", "haproxy.backend=web")
    named = intruders.plain(image, "named", network, *label)
    wait_until(
        lambda: len(stack.ready_addresses("web")) == 2, claim="the named one is ready"
    )

    assert_nobody_else_answers(stack, web, intruders.ids[named])
