"""What the soak run makes of the reconciler's metrics and measures."""

from __future__ import annotations

from soak.vitals import ALLOWED_FILES, ALLOWED_KB, Life, counters_in


EXPOSITION = """
# TYPE reconciler_passes_total counter
reconciler_passes_total{haproxy="a",result="converged"} 12.0
reconciler_passes_total{haproxy="b",result="converged"} 3.0
reconciler_passes_total{haproxy="a",result="failed"} 0.0
reconciler_passes_created{haproxy="a",result="failed"} 1.7e+09
reconciler_haproxy_process_changes_total{haproxy="a"} 1.0
reconciler_resync_corrections_total 2.0
reconciler_changes_total{haproxy="a",kind="assign"} 40.0
"""


def test_counters_are_summed_over_haproxies() -> None:
    """Passes and commands by result, and the two counts that should stay at zero."""
    assert counters_in(EXPOSITION) == {
        "passes converged": 15,
        "passes failed": 0,
        "haproxy process changes": 1,
        "resync corrections": 2,
    }


def test_growth_is_judged_with_some_room() -> None:
    """Late connections and the allocator's arenas are no leak; anything beyond is one."""
    level = Life(1, 10, 40_000, 10 + ALLOWED_FILES, 42_000 + ALLOWED_KB)
    grown = Life(1, 10, 40_000, 11 + ALLOWED_FILES, 42_001 + ALLOWED_KB)

    assert (level.has_grown_files, level.has_grown_memory) == (False, False)
    assert (grown.has_grown_files, grown.has_grown_memory) == (True, True)
