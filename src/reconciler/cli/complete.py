"""What the shell may offer: containers, slots and backends, read quickly, or nothing.

A completion must never delay or clutter a prompt: everything is read at once and for a
moment only, and whatever cannot be read is left out without a word.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable
from contextlib import suppress

import click
from click.shell_completion import CompletionItem

from reconciler.cli.options import settings_from
from reconciler.config import Settings
from reconciler.core.model import Container, Server
from reconciler.core.plan import slots_of
from reconciler.inquiry import read_world


QUICK_SECONDS = 1.0
"""How long Docker or a HAProxy may take: a person is waiting with a finger on the key."""


def complete_target(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer the running containers by name, and behind a ``/`` the slots of a backend."""
    del param
    containers, slots = _read(ctx)
    if "/" in incomplete:
        return _items((str(slot.ref) for slot in slots), incomplete)
    names = {one.name for one in containers}
    backends = {f"{slot.ref.backend}/" for slot in slots}
    return _items([*sorted(names), *sorted(backends)], incomplete)


def complete_backend(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer the backends that have slots."""
    del param
    _, slots = _read(ctx)
    return _items(sorted({slot.ref.backend for slot in slots}), incomplete)


def _items(words: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(word) for word in fitting(words, incomplete)]


def fitting(words: Iterable[str], incomplete: str) -> list[str]:
    """Return the words that begin so, and that every shell takes for one plain word."""
    found = (word for word in words if word.startswith(incomplete))
    return [word for word in found if word.isascii() and _is_one_word(word)]


def _is_one_word(word: str) -> bool:
    return all(letter.isalnum() or letter in "_.:/-" for letter in word)


def _read(ctx: click.Context) -> tuple[list[Container], list[Server]]:
    with suppress(Exception):  # whatever it is, a prompt is no place to say it
        given = {name: value for name, value in ctx.params.items() if value is not None}
        return asyncio.run(_quickly(settings_from(given)))
    return [], []


async def _quickly(settings: Settings) -> tuple[list[Container], list[Server]]:
    quick = dataclasses.replace(settings, haproxy_timeout_seconds=QUICK_SECONDS)
    world = await read_world(
        quick, with_connections=False, docker_timeout_seconds=QUICK_SECONDS
    )
    slots = [
        slot
        for proxy in world.proxies
        if proxy.observed is not None
        for servers in proxy.observed.backends.values()
        for slot in slots_of(servers.values(), settings.slot_prefix)
    ]
    return list(world.claims.containers.values()), slots
