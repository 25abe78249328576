"""Names close to one that was not found."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from reconciler.errors import printable


_SHOWN = 3
_MOST = 5000
"""Comparing takes microseconds a name: among more names only parts are looked for."""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return the question for the closest few names; '' where none is close."""
    known = sorted({one for one in names if one})
    close = get_close_matches(name, known, _SHOWN) if len(known) <= _MOST else []
    part = name.lower()
    close += [one for one in known if part and part in one.lower() and one not in close]
    if not close:
        return ""
    return f"did you mean {' or '.join(printable(one) for one in close[:_SHOWN])}?"
