"""A moment in the past as operators write it: ``10m``, ``2h``, or a date and a time."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable

import click

from reconciler.errors import quoted


_AGO = re.compile(r"([0-9]{1,9})(s|m|h|d)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Moment(click.ParamType[float]):
    """A moment in the past; its value is in Unix seconds."""

    name = "time"

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """``clock`` tells Unix seconds."""
        self._clock = clock

    def convert(
        self,
        value: str | float,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """Return the moment in Unix seconds: so long ago, or at an ISO 8601 time.

        A time without a zone is local; a date alone is its midnight.
        """
        if isinstance(value, float):
            return value
        ago = _AGO.fullmatch(value)
        if ago is not None:
            return max(0.0, self._clock() - int(ago[1]) * _SECONDS[ago[2]])
        try:
            return max(0.0, dt.datetime.fromisoformat(value).astimezone().timestamp())
        except (ValueError, OverflowError):
            self.fail(
                f"{quoted(value)} is no time: 90s, 10m, 2h and 1d are, and ISO times such "
                "as 2026-01-31T14:30 or 2026-01-31T14:30:00+01:00",
                param,
                ctx,
            )
