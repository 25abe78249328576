"""``drain``, ``ready`` and ``maint``: the operator's hand on the command line."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from collections.abc import Callable
from typing import NamedTuple, TextIO

import click

from reconciler.cli.complete import complete_target
from reconciler.cli.options import AS_JSON, with_settings
from reconciler.cli.page import Page
from reconciler.config import Settings
from reconciler.core.model import AdminState
from reconciler.errors import RuntimeSocketError
from reconciler.hand import Place, Watched, change, counted, places, wait
from reconciler.inquiry import read_world


class _Waiting(Page):
    """A command whose ``--wait`` may stand alone: before TARGET, too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give a ``--wait`` that no number follows the value *as long as it takes*."""
        given = list(args)
        for index, word in enumerate(args):
            following = args[index + 1] if index + 1 < len(args) else ""
            if word == "--wait" and not _is_number(following):
                given[index] = "--wait=inf"
        return super().parse_args(ctx, given)


def _is_number(text: str) -> bool:
    try:
        return float(text) >= 0
    except ValueError:
        return False


def _by_hand(command: Callable[..., None]) -> click.Command:
    """Give one of drain, ready and maint its arguments and options."""
    for decorate in (
        with_settings,
        AS_JSON,
        click.option(
            "--wait",
            "wait_seconds",
            type=click.FloatRange(min=0),
            metavar="[SECONDS]",
            help="Return only when its last session has gone (for ready: when HAProxy "
            "calls it up); exit 1 if that takes longer than SECONDS.",
        ),
        click.argument("target", shell_complete=complete_target),
    ):
        command = decorate(command)
    return click.command(cls=_Waiting)(command)


@_by_hand
def drain(
    settings: Settings,
    target: str,
    wait_seconds: float | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Take TARGET out of rotation: no new sessions, the open ones go on.

    TARGET is BACKEND/SLOT, or a container's name or id. The daemon leaves it alone until
    you say `ready` or the container goes.

    \b
    A deploy script that loses no session:
      reconciler drain web-1 --wait 60 && docker stop web-1
    """
    _move(settings, target, AdminState.DRAIN, wait_seconds, as_json=as_json)


@_by_hand
def ready(
    settings: Settings,
    target: str,
    wait_seconds: float | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Put TARGET back into rotation, after `drain` or `maint`.

    TARGET is BACKEND/SLOT, or a container's name or id.
    """
    _move(settings, target, AdminState.READY, wait_seconds, as_json=as_json)


@_by_hand
def maint(
    settings: Settings,
    target: str,
    wait_seconds: float | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Take TARGET out of rotation and stop HAProxy's checks of it.

    TARGET is BACKEND/SLOT, or a container's name or id. As `drain`, but sessions that
    stick to a server go elsewhere, too.
    """
    _move(settings, target, AdminState.MAINT, wait_seconds, as_json=as_json)


def _move(
    settings: Settings,
    target: str,
    wanted: AdminState,
    wait_seconds: float | None,
    *,
    as_json: bool,
) -> None:
    moved, unread = asyncio.run(_moved(settings, target, wanted, wait_seconds))
    if as_json:
        click.echo(json.dumps({"slots": [_moved_json(m) for m in moved]}, indent=2))
    else:
        for one in moved:
            done = "" if one.was_changed else " already"
            left = "" if one.sessions is None else f"; {counted(one.sessions)}"
            click.echo(f"{one.place}: {wanted.value}{done}{left}")
    if unread is not None:
        raise unread  # a HAProxy that may have a slot of it, too


class _Moved(NamedTuple):
    place: Place
    wanted: AdminState
    was_changed: bool
    sessions: int | None


async def _moved(
    settings: Settings, target: str, wanted: AdminState, wait_seconds: float | None
) -> tuple[list[_Moved], RuntimeSocketError | None]:
    """Return what was done, and why one of the HAProxies was not reached."""
    world = await read_world(settings)
    chosen = places(world, target)
    changed = [await change(place, wanted) for place in chosen]
    left: list[int | None] = [None for _ in chosen]
    if wait_seconds is not None:
        seconds = None if math.isinf(wait_seconds) else wait_seconds
        tell = Progress(sys.stderr)
        await wait(chosen, wanted, seconds, tell)
        left = [one.sessions for one in tell.last]
    moved = [
        _Moved(place, wanted, was_changed, sessions)
        for place, was_changed, sessions in zip(chosen, changed, left, strict=True)
    ]
    return moved, next((p.error for p in world.proxies if p.error is not None), None)


def _moved_json(moved: _Moved) -> dict[str, object]:
    tenant, server = moved.place.tenant, moved.place.server
    return {
        "haproxy": moved.place.haproxy,
        "backend": server.ref.backend,
        "slot": server.ref.server,
        "state": moved.wanted.value,
        "changed": moved.was_changed,
        "sessions": moved.sessions,
        "address": server.address,
        "port": server.port,
        "container_id": tenant.container_id if tenant else None,
        "container": tenant.container if tenant else None,
    }


class Progress:
    """Tells on a terminal how many sessions are left, whenever that changes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.last: list[Watched] = []

    def __call__(self, seen: list[Watched]) -> None:
        """Take in one look."""
        before = {(w.place.haproxy, w.place.ref): w.sessions for w in self.last}
        self.last = seen
        if not self._stream.isatty():
            return
        for one in seen:
            if before.get((one.place.haproxy, one.place.ref)) != one.sessions:
                self._stream.write(f"{one.place}: {counted(one.sessions)}\n")
