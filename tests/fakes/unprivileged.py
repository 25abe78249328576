"""Be nobody for a moment, so that permissions count even where tests run as root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


NOBODY = 65534


@contextmanager
def unprivileged() -> Iterator[None]:
    """Give root's privileges up for the length of a block; does nothing for other users."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
