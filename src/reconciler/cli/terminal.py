"""What standard output is: how wide, and whether it takes colours. By the rules of rich,
which takes longer to load than most of what is printed here takes to print.
"""

from __future__ import annotations

import os
import shutil
import sys


_NO_TERMINALS = frozenset({"dumb", "unknown"})
"""Values of TERM that stand for something that takes no control sequences."""


def is_terminal() -> bool:
    """Whether standard output is a terminal that takes control sequences."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in _NO_TERMINALS


def has_colours() -> bool:
    """Whether to colour: on a terminal, or with FORCE_COLOR; never with NO_COLOR."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or is_terminal()


def width() -> int | None:
    """Return the columns of standard output, None where it is no terminal: cut nothing."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
