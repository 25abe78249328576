"""Python's collector is held back, and cycles are found all the same."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest

from reconciler import garbage


pytestmark = pytest.mark.filterwarnings(
    # Whatever tests before this one have left to the collector is collected here.
    "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    """Python's collector as a program finds it; commands that tests ran may have it off."""
    was_enabled = gc.isenabled()
    gc.enable()
    yield
    if not was_enabled:
        gc.disable()


class Node:
    """Something that may be part of a cycle."""

    other: Node | None = None


def cycle() -> asyncio.Event:
    """Make two nodes that hold each other and nobody else; return what tells of their end."""
    one, two = Node(), Node()
    one.other, two.other = two, one
    return end_of(one)


def end_of(node: Node) -> asyncio.Event:
    """Return what is set once a node was freed."""
    ended = asyncio.Event()
    weakref.finalize(node, ended.set)
    return ended


async def waited_for(event: asyncio.Event) -> None:
    """Wait for it, but not for ever."""
    async with asyncio.timeout(10):
        await event.wait()


@asynccontextmanager
async def collecting(*, is_loaded: bool, thorough: float = 3600) -> AsyncIterator[None]:
    """Let the program's collector run for the length of a block."""
    task = asyncio.create_task(
        garbage.collect(
            lambda: is_loaded, look_seconds=0.001, thorough_seconds=thorough
        )
    )
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_python_does_not_collect_by_itself_meanwhile() -> None:
    """It does before and afterwards."""
    assert gc.isenabled()
    async with collecting(is_loaded=True):
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


async def test_new_cycles_are_found_once_there_are_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is dropped in a cycle is freed while the program runs."""
    monkeypatch.setattr(garbage, "ENOUGH", 10)
    async with collecting(is_loaded=True):
        kept = [[number] for number in range(20)]
        await waited_for(cycle())
        del kept


async def test_cycles_among_what_was_set_aside_are_found_in_the_end() -> None:
    """Something that lived when all was set aside may die later."""
    node = Node()
    node.other = node
    ended = end_of(node)
    async with collecting(is_loaded=True, thorough=0.02):
        assert gc.get_freeze_count() > 0
        del node
        await waited_for(ended)


async def test_nothing_is_looked_through_while_it_is_loaded() -> None:
    """A start makes much that stays: it is set aside as it comes."""
    gc.collect()
    runs = sum(generation["collections"] for generation in gc.get_stats())
    async with collecting(is_loaded=False):
        kept = [[number] for number in range(50_000)]
        await asyncio.sleep(0.01)
        assert sum(g["collections"] for g in gc.get_stats()) == runs
        assert gc.get_freeze_count() > len(kept) - 10


@pytest.mark.parametrize(
    ("counts", "looks", "kept"),
    [
        pytest.param([30_000, 0] * 8, 0, 0, id="a resync's, soon dropped"),
        pytest.param([30_000, 30_000, 0, 0], 1, 1, id="they stay"),
        pytest.param([30_000, 200_000, 0, 0], 0, 1, id="too many for one look"),
    ],
)
async def test_when_what_is_new_is_looked_through(
    monkeypatch: pytest.MonkeyPatch, counts: list[int], looks: int, kept: int
) -> None:
    """Only what stays, and only what is looked through in a moment; the rest is set aside."""
    done: list[str] = []
    is_over = asyncio.Event()
    coming = iter(counts)

    def count() -> tuple[int, int, int]:
        fresh = next(coming, None)
        if fresh is None:
            is_over.set()
        return fresh or 0, 0, 0

    async with collecting(is_loaded=True):
        monkeypatch.setattr(gc, "get_count", count)
        monkeypatch.setattr(gc, "collect", lambda: done.append("look"))
        monkeypatch.setattr(gc, "freeze", lambda: done.append("keep"))
        await waited_for(is_over)

    assert (done.count("look"), done.count("keep")) == (looks, kept)
