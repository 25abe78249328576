"""Pictures of figures. matplotlib is large and only wanted here: ``scripts/venv bench``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from figures.series import Series


def picture(path: Path, draw: Callable[[Any], None], *, panels: int = 1) -> bool:
    """Let ``draw`` fill a figure's panels, and write it; False where matplotlib is missing.

    ``draw`` is given one matplotlib axis, or a list of them where there are more panels.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 - only wanted here, and large
    except ImportError:
        print("no picture: matplotlib is missing (scripts/venv bench)")
        return False
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the choice above

    figure, axes = plt.subplots(panels, 1, figsize=(10, 4.2 * panels), squeeze=False)
    flat = [row[0] for row in axes]
    draw(flat[0] if panels == 1 else flat)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return True


def boxes(axis: Any, series: Sequence[Series], *, logarithmic: bool = False) -> None:  # noqa: ANN401 - matplotlib is optional
    """Draw a box for each series: quartiles, and whiskers from the 5th to the 95th percent."""
    shown = [one for one in series if one.values]
    axis.boxplot(
        [list(one.values) for one in reversed(shown)],
        orientation="horizontal",
        whis=(5, 95),
        widths=0.6,
        flierprops={"marker": ".", "markersize": 3, "alpha": 0.4},
    )
    axis.set_yticks(
        range(1, len(shown) + 1), [one.name.strip() for one in reversed(shown)]
    )
    axis.set_xlabel(shown[0].unit if shown else "")
    if logarithmic:
        axis.set_xscale("log")
    axis.grid(visible=True, axis="x", alpha=0.3)
