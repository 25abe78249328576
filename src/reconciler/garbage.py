"""When Python looks for garbage: between two things to do, and never among thousands of slots.

Python's collector looks through everything alive every so often, wherever the program is. With
10,000 containers and slots known that takes 40 to 100 ms, in which no event is answered. Nearly
all that this program drops is freed at once, without the collector; cycles are rare.

So the collector is not left to itself. What is alive once everything has been read for the
first time is set aside, and not looked through again. Afterwards what came new is looked
through once there is enough of it, and set aside too. Cycles among what was set aside are found
by one look through everything an hour.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import NoReturn


LOOK_SECONDS = 1.0
"""How often it is seen whether there is enough that is new."""

ENOUGH = 20_000
"""So many new objects that may be part of a cycle are looked through in 3 to 5 ms."""

TOO_MANY = 50_000
"""So many take 10 ms and more: they are set aside without a look, as at the start."""

THOROUGH_SECONDS = 3600.0
"""How often everything is looked through. With 10,000 containers that takes about 100 ms."""


async def collect(
    is_loaded: Callable[[], bool],
    *,
    look_seconds: float = LOOK_SECONDS,
    thorough_seconds: float = THOROUGH_SECONDS,
) -> NoReturn:
    """Collect garbage for as long as the program runs; ends only by cancellation.

    ``is_loaded`` says whether everything was read once. Until then nothing is looked through:
    what a start makes stays.
    """
    loop = asyncio.get_running_loop()
    gc.disable()
    try:
        thorough_at = loop.time() + thorough_seconds
        while not is_loaded():
            gc.freeze()
            await asyncio.sleep(look_seconds)
        gc.freeze()
        fresh = 0
        while True:
            await asyncio.sleep(look_seconds)
            before, fresh = fresh, gc.get_count()[0]
            if loop.time() >= thorough_at:
                gc.unfreeze()
                thorough_at = loop.time() + thorough_seconds
            elif min(before, fresh) < ENOUGH:
                continue  # a resync makes many, and drops them again
            elif fresh > TOO_MANY:
                gc.freeze()
                continue
            gc.collect()
            gc.freeze()
    finally:
        gc.unfreeze()
        gc.enable()
