"""What docker-py leaves behind: sockets of refused connections, for the garbage collector."""

from __future__ import annotations

import gc
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def leftovers_collected() -> Iterator[None]:
    """Collect them at the end of the block, and not in somebody else's test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        for thread in threading.enumerate():
            if thread.name.startswith("docker"):
                thread.join(5)
        gc.collect()
