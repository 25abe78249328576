"""From sightings to figures: series, what they are of each other, and the targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from figures.plot import boxes
from figures.series import Ratio, Series, Verdict
from latency.sighting import Role, Sighting


RATIO_TARGET = 1.3
MEDIAN_TARGET_MS = 5.0
P99_TARGET_MS = 20.0
OUT_MEDIAN_TARGET_MS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was seen, and what the reconciler logged itself, by a container's name."""

    idle: Sequence[Sighting]
    burst: Sequence[Sighting]
    names: Mapping[str, str]
    assigned: Mapping[str, float]
    drained: Mapping[str, float]

    def series(self) -> dict[str, Series]:
        """Return all rows of the table by a short key, those with no values left out."""
        found = {
            **self._idle_in(),
            **self._floor(),
            **self._idle_out(),
            **self._burst_rows(),
        }
        return {key: one for key, one in found.items() if one.values}

    def _idle_in(self) -> dict[str, Series]:
        ours = _of(self.idle, Role.OURS)
        blind = _of(self.idle, Role.BLIND)
        return {
            "ours": _between("start -> ready", ours, "event", "seen"),
            "ours_after_event": _between("  event here -> ready", ours, "received"),
            "ours_log": self._logged("  its own log", ours),
            "blind_log": self._logged("  its own log, unwatched", blind),
            "observer": _between("  (log line -> seen ready)", ours, "noticed"),
        }

    def _floor(self) -> dict[str, Series]:
        floor = _of(self.idle, Role.FLOOR)
        one_write = _of(self.idle, Role.ONE_WRITE)
        return {
            "floor": _between("floor: start -> ready", floor, "event"),
            "floor_event": _between("  event delivery", floor, "event", "received"),
            "floor_inspect": _between("  one inspect", floor, "received", "inspected"),
            "floor_address": _between(
                "  maint, address, read back", floor, "inspected", "addressed"
            ),
            "floor_admit": _between("  ready, weight", floor, "addressed", "answered"),
            "floor_clock": _between(
                "  floor by its own clock", floor, "event", "answered"
            ),
            "one_write": _between("one write, unproven: start -> ready", one_write),
        }

    def _idle_out(self) -> dict[str, Series]:
        out, floor = _of(self.idle, Role.OUT), _of(self.idle, Role.FLOOR_OUT)
        return {
            "out_told": _between(
                "stop signal -> HAProxy logs drain", out, last="noticed"
            ),
            "out": _between("stop signal -> drain seen in its table", out),
            "out_after_event": _between("  event here -> drain", out, "received"),
            "out_log": self._logged("  its own log of drains", out),
            "floor_out": _between("floor: stop signal -> drain", floor),
            "floor_out_clock": _between(
                "  floor of drains by its own clock", floor, "event", "answered"
            ),
        }

    def _burst_rows(self) -> dict[str, Series]:
        ours, out = _of(self.burst, Role.OURS), _of(self.burst, Role.OUT)
        floor = _of(self.burst, Role.FLOOR)
        floor_out = _of(self.burst, Role.FLOOR_OUT)
        return {
            "burst": _between("burst: start -> ready", ours),
            "burst_log": self._logged("  its own log, burst", ours),
            "burst_floor": _between(
                "floor, burst: start -> ready", floor, "event", "answered"
            ),
            "burst_out": _between("burst: stop signal -> drain", out),
            "burst_out_log": self._logged("  its own log of drains, burst", out),
            "burst_floor_out": _between(
                "floor, burst: stop signal -> drain", floor_out, "event", "answered"
            ),
        }

    def _logged(self, name: str, seen: Sequence[Sighting]) -> Series:
        is_out = bool(seen) and seen[0].role.is_out
        logged = self.drained if is_out else self.assigned
        found = [self.names[one.container_id] for one in seen]
        values = [logged[name] for name in found if name in logged]
        return Series(name=name, unit="ms", values=values)


def _of(seen: Sequence[Sighting], role: Role) -> list[Sighting]:
    return [one for one in seen if one.role is role]


def _between(
    name: str, seen: Sequence[Sighting], first: str = "event", last: str = "seen"
) -> Series:
    values = [(getattr(one, last) - getattr(one, first)) / 1e6 for one in seen]
    return Series(name=name, unit="ms", values=values)


_RATIOS = (
    ("ours", "floor"),
    ("blind_log", "floor_clock"),
    ("ours", "one_write"),
    ("out", "floor_out"),
    ("out_log", "floor_out_clock"),
    ("burst", "burst_floor"),
    ("burst_log", "burst_floor"),
    ("burst_out", "burst_floor_out"),
)


def ratios(series: Mapping[str, Series]) -> list[Ratio]:
    """Return what can be compared: the targets' pair first."""
    named = {k: replace(one, name=one.name.strip()) for k, one in series.items()}
    return [
        named[of].over(named[over])
        for of, over in _RATIOS
        if of in named and over in named
    ]


def verdicts(series: Mapping[str, Series]) -> list[Verdict]:
    """Return the targets, for a lone container on an idle machine."""
    ours, out = series["ours"].figures(), series["out_told"].figures()
    return [
        Verdict(
            what="start -> ready, median, of the floor",
            value=series["ours"].over(series["floor"]).median,
            target=RATIO_TARGET,
        ),
        Verdict(
            what="start -> ready, median",
            value=ours["median"],
            target=MEDIAN_TARGET_MS,
            unit="ms",
        ),
        Verdict(
            what="start -> ready, p99",
            value=ours["p99"],
            target=P99_TARGET_MS,
            unit="ms",
        ),
        Verdict(
            what="stop signal -> HAProxy logs drain, median",
            value=out["median"],
            target=OUT_MEDIAN_TARGET_MS,
            unit="ms",
        ),
    ]


_LONE = ("ours", "blind_log", "floor", "floor_clock", "one_write", "out", "floor_out")
_BURST = ("burst", "burst_floor", "burst_out", "burst_floor_out")


def draw(panels: Any, series: Mapping[str, Series]) -> None:  # noqa: ANN401 - matplotlib is optional
    """Draw the lone containers, and below them the bursts, where most is waiting."""
    for panel, keys, title in (
        (panels[0], _LONE, "one container after another"),
        (panels[1], _BURST, "a burst"),
    ):
        boxes(panel, [series[key] for key in keys if key in series], logarithmic=True)
        panel.set_title(title)
