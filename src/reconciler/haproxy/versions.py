"""What a HAProxy release does, as far as a plan depends on it. Pure facts about numbers.

``release`` is always ``(major, minor, patch)``, as :attr:`Process.release` gives it.
"""

from __future__ import annotations


Release = tuple[int, int, int]


def reuse_needs_idle(release: Release) -> bool:
    """Whether a slot must have no connection in use before it gets another address.

    On these releases a connection that was busy while the address changed is pooled
    afterwards and used again, for the container that lived there before. The mend came with
    3.1 and went into the later patches of 2.8 and 3.0.
    """
    is_mended = (
        (2, 8, 25) <= release < (2, 9, 0)
        or (3, 0, 11) <= release < (3, 1, 0)
        or release >= (3, 1, 0)
    )
    return not is_mended


def applies_address_later(release: Release) -> bool:
    """Whether ``set server … addr`` answers before it takes effect (since 2.9)."""
    return release >= (2, 9, 0)
