"""A picture of a run: a panel each contender, the same seconds on all of them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from zero_loss.result import BIN_SECONDS, Finding


_COLOURS = ("#c0392b", "#e67e22", "#8e44ad", "#f1c40f", "#7f8c8d", "#2c3e50")


def draw(findings: Sequence[Finding], path: Path) -> None:
    """Write the picture. Raises ImportError where matplotlib is missing."""
    import matplotlib as mpl  # noqa: PLC0415 - only wanted here, and large

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the choice above

    shown = [one for one in findings if not one.not_run]
    if not shown:
        return
    figure, panels = plt.subplots(
        len(shown), 1, figsize=(12, 3.6 * len(shown)), squeeze=False, sharex=True
    )
    for (panel,), finding in zip(panels, shown, strict=True):
        _panel(panel, finding)
    panels[-1][0].set_xlabel("seconds")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _panel(panel, finding: Finding) -> None:  # noqa: ANN001 - matplotlib is optional
    start = finding.start
    bottom: dict[float, int] = {}
    causes = sorted((finding.failures or {}).items())
    for (cause, bins), colour in zip(causes, _COLOURS, strict=False):
        at = [second for second, _ in bins]
        heights = [count for _, count in bins]
        floors = [bottom.get(second, 0) for second in at]
        panel.bar(
            at,
            heights,
            BIN_SECONDS,
            bottom=floors,
            align="edge",
            color=colour,
            label=f"lost: {cause}",
        )
        bottom |= {s: f + h for s, f, h in zip(at, floors, heights, strict=True)}
    panel.set_ylabel(f"lost in {BIN_SECONDS:g} s")
    panel.set_ylim(0, max([*bottom.values(), 9]) * 1.3)
    counts = panel.twinx()
    for name, colour, style in (
        ("running", "#95a5a6", "-"),
        ("ready", "#27ae60", "-"),
        ("processes", "#2980b9", ":"),
    ):
        points = [(one.at - start, getattr(one, name)) for one in finding.samples]
        points = [point for point in points if point[1] is not None]
        counts.plot(*zip(*points, strict=True), style, color=colour, label=_WORDS[name])
    counts.set_ylim(0, None)
    counts.set_ylabel("count")
    for phase in finding.phases:
        at = phase.start - start
        panel.axvline(at, color="#bdc3c7", linewidth=0.8)
        panel.text(
            at + 0.2,
            panel.get_ylim()[1] * 0.98,
            textwrap.fill(phase.name, 12),
            fontsize=7,
            verticalalignment="top",
        )
    whole = finding.whole
    panel.set_title(f"{finding.title}: {whole.failed} of {whole.sent} requests lost")
    lines, labels = counts.get_legend_handles_labels()
    bars, words = panel.get_legend_handles_labels()
    counts.legend(bars + lines, words + labels, loc="center right", fontsize=7)


_WORDS = {
    "running": "containers that run",
    "ready": "servers HAProxy calls up",
    "processes": "HAProxy processes",
}
