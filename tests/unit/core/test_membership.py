"""Whose names a container has: the table of identity in docs/labels.md, row by row."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.docs import pages

from reconciler.core.desired import claims_of
from reconciler.core.explain import explained, verdict
from reconciler.core.membership import (
    IMAGE,
    Identity,
    Maker,
    identity_of,
    needless_labels,
)
from reconciler.core.model import Attachment, Container, Unplaced
from reconciler.core.placement import Context


ANYWHERE = Context()
OWN, OTHER = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
NAMES = {
    "com.docker.compose.project": "demo",
    "com.docker.compose.service": "web",
    "com.docker.compose.version": "2.26.1",
}
"""What `docker compose build` writes into an image."""

VERSION_1 = {
    **NAMES,
    "com.docker.compose.config-hash": "472b4bce",
    "com.docker.compose.container-number": "1",
    "com.docker.compose.oneoff": "False",
}
COMPOSE = {**VERSION_1, IMAGE: OWN}
ONE_OFF = {**COMPOSE, "com.docker.compose.oneoff": "True"}
PODMAN = {
    "io.podman.compose.project": "demo",
    "io.podman.compose.config-hash": "472b4bce",
    "io.podman.compose.service": "web",
    **NAMES,
    "com.docker.compose.container-number": "1",
}
TASK = {
    "com.docker.stack.namespace": "shop",
    "com.docker.swarm.node.id": "n1",
    "com.docker.swarm.service.id": "s1",
    "com.docker.swarm.service.name": "shop_api",
    "com.docker.swarm.task.id": "t1a2",
    "com.docker.swarm.task.name": "shop_api.1.t1a2",
}


def made(name: str, labels: dict[str, str], *, image: str = OWN) -> Container:
    """Return a container that runs, on one network."""
    return Container(
        id="1" * 64,
        name=name,
        labels=labels,
        image=image.removeprefix("sha256:"),
        is_running=True,
        networks=(Attachment(network="front", ipv4="10.0.0.1"),),
        tcp_ports=(8000,),
    )


ROWS = {
    "`docker compose up`": made("demo-web-1", COMPOSE),
    "`docker compose up`, with `container_name`": made("shop", COMPOSE),
    "`docker compose up`, taking another's place": made(
        "917ff8ce3da0_demo-web-1", COMPOSE
    ),
    "`docker compose up`, of an image that was made of a container": made(
        "demo-web-1", {**TASK, **COMPOSE, IMAGE: OTHER}, image=OTHER
    ),
    "`docker-compose` 1 `up`": made("demo_web_1", VERSION_1),
    "`podman-compose up`": made("demo_web_1", PODMAN),
    "`docker compose run`": made("demo-web-run-d529571ebca7", ONE_OFF),
    "`podman-compose run`": made("demo_web_tmp4711", PODMAN),
    "`docker run`": made("hopeful_noyce", {}),
    "`docker run`, of an image that Compose built": made("hopeful_noyce", NAMES),
    "`docker run`, of a `docker commit` of Compose's container": made(
        "hopeful_noyce", COMPOSE, image=OTHER
    ),
    "`docker run`, with labels for project and service": made("web", NAMES),
    "`docker run`, with label `haproxy.backend`": made(
        "hopeful_noyce", {"haproxy.backend": "shop"}
    ),
    "`docker run`, of an image with label `haproxy.backend`": made(
        "hopeful_noyce", {**COMPOSE, "haproxy.backend": "shop"}, image=OTHER
    ),
    "a Swarm's task": made("shop_api.1.t1a2", TASK),
    "a Swarm's task, of an image that Compose built": made(
        "shop_api.1.t1a2", {**NAMES, **TASK}
    ),
    "a Swarm's task, of a `docker commit` of Compose's one-off": made(
        "shop_api.1.t1a2", {**ONE_OFF, **TASK}, image=OTHER
    ),
    "`docker run`, of a `docker commit` of a task": made("hopeful_noyce", TASK),
}
DOCUMENTED = {
    row[0]: row[1]
    for row in pages.table(
        pages.text_of("docs/labels.md"), "how the container was made"
    )
}
NAMED = {
    "`web`": ("demo", "web", ["web"]),
    "`api`": ("shop", "api", ["api"]),
    "never": ("demo", "web", []),
    "none": (None, None, []),
    "by label": (None, None, ["shop"]),
}


def test_every_row_of_the_table_is_a_case_here() -> None:
    """The page and the cases are the same, in the same order."""
    assert list(DOCUMENTED) == list(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_what_a_container_goes_by(row: str) -> None:
    """Project, service and backends are as the table says."""
    one = ROWS[row]
    claims = claims_of(one, ANYWHERE)
    backends = [
        claim.backend for claim in claims if not isinstance(claim.outcome, Unplaced)
    ]

    assert (one.project, one.service, backends) == NAMED[DOCUMENTED[row]]


@pytest.mark.parametrize(
    "row", [row for row, said in DOCUMENTED.items() if said == "never"]
)
@pytest.mark.parametrize("label", ["backend", "backends.web.port", "enable", "address"])
def test_a_one_off_gets_nothing_whatever_its_labels_say(row: str, label: str) -> None:
    """It inherits its service's labels; no HAProxy hears of it, not even as unplaced."""
    value = {"enable": "true", "address": "10.9.9.9"}.get(label, "80")
    one = ROWS[row]
    labelled = replace(one, labels={**one.labels, f"haproxy.{label}": value})

    assert claims_of(labelled, ANYWHERE) == ()


@pytest.mark.parametrize("text", ["True", "true", "TRUE"])
def test_a_one_off_is_told_in_any_case(text: str) -> None:
    """Compose writes True."""
    labels = {**COMPOSE, "com.docker.compose.oneoff": text}

    assert made("demo-web-1", labels).identity.is_one_off


@pytest.mark.parametrize("text", ["", "False", "no"])
def test_no_one_off(text: str) -> None:
    """Anything else is a container of its service."""
    labels = {**COMPOSE, "com.docker.compose.oneoff": text}

    assert not made("demo-web-1", labels).identity.is_one_off


@pytest.mark.parametrize("label", sorted(PODMAN.keys() - NAMES.keys()))
def test_each_label_that_no_image_has_is_evidence(label: str) -> None:
    """One is enough, and an empty one is none."""
    assert made("any", {**NAMES, label: "x"}).service == "web"
    assert made("any", {**NAMES, label: ""}).service is None


@pytest.mark.parametrize(
    ("name", "answers", "expected"),
    [
        ("demo-web-12", False, Maker.COMPOSE),
        ("demo_web_1", False, Maker.COMPOSE),
        ("0123456789ab_demo-web-1", False, Maker.COMPOSE),
        ("custom", True, Maker.COMPOSE),
        ("custom", False, Maker.COPY),
        ("demo-web-", False, Maker.COPY),
        ("demo-web-1x", False, Maker.COPY),
        ("demo-web_1", False, Maker.COPY),
        ("zzz_demo-web-1", False, Maker.COPY),
        ("", False, Maker.COPY),
    ],
)
def test_where_the_image_differs_name_and_alias_decide(
    *, name: str, answers: bool, expected: Maker
) -> None:
    """A builder that tells another id must not cost a service its containers."""
    found = identity_of(COMPOSE, name, OTHER, answers_to_service=answers)

    assert found.maker is expected


@pytest.mark.parametrize("image", ["", OWN, OWN.removeprefix("sha256:")])
def test_an_image_that_is_the_same_or_not_known_says_nothing(image: str) -> None:
    """Engines tell the id with its kind in front, or without."""
    assert identity_of(COMPOSE, "custom", image).maker is Maker.COMPOSE


def test_what_the_labels_claim_is_told_where_it_does_not_count() -> None:
    """For whoever asks why a container is nowhere."""
    copied = ROWS["`docker run`, of a `docker commit` of a task"]

    assert copied.identity == Identity(
        Maker.COPY, claimed_project="shop", claimed_service="api"
    )


BUILT, COPIED = (
    "`docker run`, of an image that Compose built",
    "`docker run`, of a `docker commit` of Compose's container",
)


@pytest.mark.parametrize(
    ("row", "why", "mend"),
    [
        (
            BUILT,
            'name "web" is its image\'s: Compose built that',
            "start it by Compose",
        ),
        (COPIED, "is of the container that its image was made of", "haproxy.backend"),
        ("`docker compose run`", "it is a one-off", "`docker compose up --detach`"),
    ],
)
def test_explain_says_whose_a_name_is(row: str, why: str, mend: str) -> None:
    """The first line tells why it is not placed, and what to do."""
    said, _, to_do = verdict(explained(ROWS[row], ANYWHERE, [])).partition(" → ")

    assert said.startswith("not placed: ")
    assert why in said
    assert mend in to_do


@pytest.mark.parametrize("row", ROWS)
def test_labels_that_are_dropped_change_nothing(row: str) -> None:
    """What is kept of a container in memory goes by what all its labels go by."""
    one = ROWS[row]
    needless = needless_labels(one.labels, one.image)
    kept = {key: text for key, text in one.labels.items() if key not in needless}

    assert replace(one, labels=kept).identity == one.identity
