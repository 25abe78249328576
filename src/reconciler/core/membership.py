"""Which project and service a container is of: whose word counts, and whose does not.

Labels say so, and an image can carry any label. So a name counts only with evidence that
whoever gives such names has made this very container (docs/decisions/0033). The table of
identity in docs/labels.md has a row for every case, and a test has them all.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple


PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
"""Compose puts these on its containers, and on the images that it builds."""

CONFIG_HASH = "com.docker.compose.config-hash"
NUMBER = "com.docker.compose.container-number"
PODMAN_PROJECT = "io.podman.compose.project"
EVIDENCE = (
    CONFIG_HASH,
    NUMBER,
    "io.podman.compose.config-hash",
    "io.podman.compose.service",
    PODMAN_PROJECT,
)
"""Labels that Compose and podman-compose put on containers, and on no image."""

IMAGE = "com.docker.compose.image"
"""The id of the image that Compose made the container of."""

ONE_OFF = "com.docker.compose.oneoff"
"""Says of a container that `docker compose run` made it."""

SERVICE_NAME = "com.docker.swarm.service.name"
SERVICE_ID = "com.docker.swarm.service.id"
TASK_ID = "com.docker.swarm.task.id"
STACK = "com.docker.stack.namespace"
"""Labels that Swarm puts on the containers of its tasks, and ``docker stack`` on services."""

COUNTED = frozenset(
    {PROJECT, SERVICE, *EVIDENCE, IMAGE, ONE_OFF}
    | {SERVICE_NAME, SERVICE_ID, TASK_ID, STACK}
)
"""All labels that decide here."""

_COMPOSES = "com.docker.compose."
_SWARMS = ("com.docker.swarm.", "com.docker.stack.")
_RENAMED = re.compile(r"[0-9a-f]{12}_", re.ASCII)
"""What Compose puts before a name while the container takes another one's place."""


class Maker(enum.Enum):
    """Who made a container, as far as its names are concerned."""

    COMPOSE = "compose"
    """Compose, or podman-compose."""
    SWARM = "swarm"
    """Swarm, as a task."""
    IMAGE = "image"
    """Somebody else, of an image that Compose built: the names are the image's."""
    COPY = "copy"
    """Somebody else, of an image that was made of a container: the labels are that one's."""
    NOBODY = "nobody"
    """Nobody who gives names."""


class Identity(NamedTuple):
    """What a container goes by. ``None``: by nothing."""

    maker: Maker
    project: str | None = None
    """The Compose project, or the stack."""
    service: str | None = None
    """The Compose service, or the Swarm service."""
    is_one_off: bool = False
    """Whether it was made by `compose run`: it is no part of its service."""
    claimed_project: str | None = None
    claimed_service: str | None = None
    """What the labels say, where they do not count."""


def identity_of(
    labels: Mapping[str, str],
    name: str,
    image: str = "",
    *,
    answers_to_service: bool = False,
) -> Identity:
    """Return what a container goes by.

    ``image`` is the id of its image, '' where that is not known. ``answers_to_service``:
    whether some network knows it by its service's name, which Compose sees to.
    """
    if TASK_ID in labels and is_task(labels, name):
        return _of_swarm(labels)
    project, service = labels.get(PROJECT) or None, labels.get(SERVICE) or None
    is_one_off = _says_one_off(labels)
    claimed = Maker.NOBODY
    if service or (project and not labels.get(SERVICE_NAME)):
        claimed = _claimed(labels, name, image, answers=answers_to_service)
        if claimed is Maker.COMPOSE:
            one_off = is_one_off or _is_podmans_one_off(labels, name)
            return _shared(claimed, project, service, one_off)
    if labels.get(SERVICE_NAME):
        of_swarm = _of_swarm(labels)
        if TASK_ID not in labels:
            return of_swarm._replace(is_one_off=is_one_off)
        if claimed is Maker.NOBODY:
            claimed, project, service = Maker.COPY, of_swarm.project, of_swarm.service
    return _shared(claimed, None, None, is_one_off, project, service)


_shared = lru_cache(maxsize=4096)(Identity)
"""A service's containers are many, and go by the same."""


def is_task(labels: Mapping[str, str], name: str) -> bool:
    """Whether a container is a Swarm's task: such a one is called ``….TASK``.

    A copy of one has its labels and another name. '': the name is not known.
    """
    task = labels.get(TASK_ID)
    return bool(task) and (not name or name.endswith(f".{task}"))


def counts(label: str, maker: Maker) -> bool:
    """Whether a label of Compose's or Swarm's was put on a container by them."""
    if label.startswith(_COMPOSES):
        return maker is Maker.COMPOSE
    return maker is Maker.SWARM or not label.startswith(_SWARMS)


def _of_swarm(labels: Mapping[str, str]) -> Identity:
    """Return the names of a Swarm service.

    A stack's services have the name that its file gives them, as with Compose: without the
    stack's name in front.
    """
    stack, service = labels.get(STACK) or None, labels.get(SERVICE_NAME) or None
    if stack and service:
        service = service.removeprefix(f"{stack}_")
    return _shared(Maker.SWARM, stack, service)


def _claimed(
    labels: Mapping[str, str], name: str, image: str, *, answers: bool
) -> Maker:
    """Return who put Compose's names on a container."""
    if not labels.get(CONFIG_HASH) and not any(map(labels.get, EVIDENCE)):
        return Maker.IMAGE
    made_of = labels.get(IMAGE)
    if not made_of or not image or is_same_image(made_of, image):
        return Maker.COMPOSE
    # Some builders tell Compose another id than the engine's (docs/decisions/0033).
    is_named = _is_numbered(labels, _RENAMED.sub("", name, count=1))
    return Maker.COMPOSE if is_named or answers else Maker.COPY


def is_same_image(one: str, other: str) -> bool:
    """Whether two ids are of one image, with ``sha256:`` in front or without."""
    return one == other or one.removeprefix("sha256:") == other.removeprefix("sha256:")


def needless_labels(labels: Mapping[str, str], image: str) -> set[str]:
    """Return which labels change nothing in what a container of this image goes by."""
    found = set()
    if labels.get(CONFIG_HASH) and NUMBER in labels:
        found.add(NUMBER)
    if ONE_OFF in labels and not _says_one_off(labels):
        found.add(ONE_OFF)
    if IMAGE in labels and image and is_same_image(labels[IMAGE], image):
        found.add(IMAGE)
    return found


def _says_one_off(labels: Mapping[str, str]) -> bool:
    return ONE_OFF in labels and labels[ONE_OFF].lower() == "true"


def _is_podmans_one_off(labels: Mapping[str, str], name: str) -> bool:
    """Whether podman-compose made a container by `run`, which it tells by the name alone."""
    return PODMAN_PROJECT in labels and _is_numbered(labels, name, "tmp")


def _is_numbered(labels: Mapping[str, str], name: str, mark: str = "") -> bool:
    """Whether a name is the project's, the service's and a number: Compose's own."""
    of = labels.get(PROJECT, ""), labels.get(SERVICE, ""), mark
    return any(
        name.startswith(before := sign.join(of)) and name[len(before) :].isdecimal()
        for sign in "-_"
    )
