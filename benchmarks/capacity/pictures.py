"""The picture: how memory, start and commands grow with the slots, and what a burst delays."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

from figures.plot import boxes
from figures.series import Series
from growth import Cell
from summary import Found, delay, memory, start, weight


def panels(found: Found) -> Callable[[list[Any]], None]:
    """Return what fills the four panels."""

    def draw(axes: list[Any]) -> None:
        for axis, of in zip(axes, (memory, start, weight), strict=False):
            _growth(axis, found, of)
        cases = [
            delay(found, key, case, 99)
            for key in found.delays
            for case in ("burst elsewhere", "burst")
        ]
        boxes(axes[3], cases, logarithmic=True)

    return draw


def _growth(
    axis: Any,  # noqa: ANN401 - matplotlib is optional
    found: Found,
    of: Callable[[Found, Cell], Series],
) -> None:
    """Draw one figure over the slots, a line for each version."""
    unit = ""
    for version in found.versions:
        plain = [
            of(found, cell)
            for cell in _of_one_backend(found, version)
            if found.grown[cell]
        ]
        sizes = [c.slots for c in _of_one_backend(found, version) if found.grown[c]]
        (line,) = axis.plot(
            sizes, [median(one.values) for one in plain], marker="o", label=version
        )
        unit = plain[0].unit if plain else unit
        for cell in found.grown:
            if cell.version == version and cell.backends > 1 and found.grown[cell]:
                axis.plot(
                    [cell.slots],
                    [median(of(found, cell).values)],
                    marker="x",
                    linestyle="",
                    color=line.get_color(),
                    label=f"{version}, {cell.backends} backends",
                )
    axis.set_xscale("symlog", linthresh=100)
    axis.set_yscale("log")
    axis.set_xlabel("slots, all of one backend unless it says otherwise")
    axis.set_ylabel(f"{of.__name__.replace('_', ' ')}, {unit}")
    axis.grid(visible=True, alpha=0.3)
    axis.legend(fontsize=8)


def _of_one_backend(found: Found, version: str) -> list[Cell]:
    """Return the cells of a line. Checks cost little of any of these figures."""
    cells = (
        cell
        for cell in found.grown
        if (cell.version, cell.backends, cell.threads) == (version, 1, 1)
    )
    by_size = {cell.slots: cell for cell in sorted(cells, key=lambda c: c.is_checked)}
    return [by_size[size] for size in sorted(by_size)]
