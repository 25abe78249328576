"""What a release is known for."""

from __future__ import annotations

import pytest

from reconciler.haproxy.versions import (
    Release,
    applies_address_later,
    has_init_state,
    reuse_needs_idle,
)


@pytest.mark.parametrize(
    ("release", "facts"),
    [
        ((2, 6, 12), (True, False, False)),
        ((2, 8, 24), (True, False, False)),
        ((2, 8, 25), (False, False, False)),
        ((2, 9, 15), (True, False, True)),
        ((3, 0, 10), (True, False, True)),
        ((3, 0, 11), (False, False, True)),
        ((3, 1, 0), (False, True, True)),
        ((3, 2, 26), (False, True, True)),
        ((4, 0, 0), (False, True, True)),
    ],
)
def test_facts_of_a_release(release: Release, facts: tuple[bool, bool, bool]) -> None:
    """Each fact holds from its release on, and in the branches that got it later."""
    assert facts == (
        reuse_needs_idle(release),
        has_init_state(release),
        applies_address_later(release),
    )
