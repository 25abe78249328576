"""An engine's URL as it may be shown: without its user and password."""

from __future__ import annotations

import re


_ENDS = re.compile(r"[:/@?#]+")
_PATHS = ("unix://", "npipe://", "fd://", "/")
_SHORTEST_SECRET = 3
"""Shorter parts would be found in every other word."""


def _split(url: str) -> tuple[str, str, str]:
    """Return what stands before, in and behind a URL's user and password."""
    if url.startswith(_PATHS) or "@" not in url:
        return "", "", url
    scheme, separator, rest = url.partition("://")
    start = f"{scheme}{separator}" if separator else ""
    # Up to the last @, however oddly a password is written.
    user_info, _, host = (rest if separator else url).rpartition("@")
    return start, user_info, host


def named(url: str) -> str:
    """Return an engine's URL without credentials."""
    start, user_info, host = _split(url)
    return f"{start}***@{host}" if user_info else url


def secrets(url: str) -> list[str]:
    """Return the parts of a URL's credentials, as a parser may take them for others."""
    _, user_info, _ = _split(url)
    return [one for one in _ENDS.split(user_info) if len(one) >= _SHORTEST_SECRET]
