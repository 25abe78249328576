"""What HAProxy's configuration tells of slots beside what its table tells. Pure.

Conditions and variables in it are answered by what HAProxy tells of itself, so it is read
once for each process (docs/decisions/0040).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from reconciler.core.base_cfg import default_ports
from reconciler.core.cfg_facts import Facts
from reconciler.core.cfg_sections import (
    NO_FACTS,
    CfgFile,
    variables_in,
    ways_to_read,
)
from reconciler.core.check_kind import plain_checks


class Told(NamedTuple):
    """What the configuration of one HAProxy tells."""

    ports: dict[str, int]
    """The port on the lines of a backend's slots."""
    plain_checks: dict[str, bool]
    """Whether the check of a backend's slots is a plain connect."""


class SlotFile:
    """The files of one configuration."""

    def __init__(self, files: Iterable[CfgFile] = (), prefix: str = "slot") -> None:
        """Slots are the servers named ``prefix`` and a number."""
        self._files = tuple(files)
        self._prefix = prefix
        self.variables = tuple(variables_in(self._files))
        """The variables of HAProxy's environment that the files ask for."""
        self.asks = bool(self.variables) or any(
            way.open for way in ways_to_read(self._files)
        )
        """Whether what they tell depends on what HAProxy tells of itself."""
        self.untold = self.told()
        """What they tell where HAProxy tells nothing of itself: read once."""

    def told(self, facts: Facts = NO_FACTS) -> Told:
        """Return what the files tell where HAProxy tells this of itself.

        Backends of which they do not tell it for sure are left out.
        """
        ways = ways_to_read(self._files, facts)
        return Told(
            default_ports(self._files, self._prefix, facts),
            plain_checks((way.sections for way in ways), self._prefix),
        )
