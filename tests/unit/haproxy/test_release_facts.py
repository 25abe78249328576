"""What a release is known for."""

from __future__ import annotations

import pytest

from reconciler.haproxy.versions import (
    Release,
    applies_address_later,
    reuse_needs_idle,
)


@pytest.mark.parametrize(
    ("release", "facts"),
    [
        ((2, 6, 12), (True, False)),
        ((2, 8, 24), (True, False)),
        ((2, 8, 25), (False, False)),
        ((2, 9, 15), (True, True)),
        ((3, 0, 10), (True, True)),
        ((3, 0, 11), (False, True)),
        ((3, 1, 0), (False, True)),
        ((3, 2, 26), (False, True)),
        ((4, 0, 0), (False, True)),
    ],
)
def test_facts_of_a_release(release: Release, facts: tuple[bool, bool]) -> None:
    """Each fact holds from its release on, and in the branches that got it later."""
    assert facts == (
        reuse_needs_idle(release),
        applies_address_later(release),
    )
