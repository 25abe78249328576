"""What the real engine says of a container, by both ways of asking."""

from __future__ import annotations

from tests.support.stack import Stack

from reconciler.discovery.engine import Engine


async def test_a_list_and_an_inspect_say_the_same(stack: Stack) -> None:
    """For every running container both readings give the same value."""
    stack.wait_converged("web", 1)
    engine = Engine(stack.engine.host)
    try:
        listed = await engine.containers()
        inspected = [await engine.container(one.id) for one in listed]
    finally:
        await engine.aclose()

    assert len(listed) >= 4
    assert inspected == listed
