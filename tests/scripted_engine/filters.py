"""The ``filters`` parameter of the engine's lists and streams."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any


_FUZZY = frozenset({"health_status", "exec_create", "exec_start"})
"""With one of these among the wanted events, every wanted event matches as a prefix:
their actions carry more after a colon (moby, daemon/events/filter.go)."""

EVENT_FILTERS = frozenset({"type", "event", "container", "label", "network", "image"})
LIST_FILTERS = frozenset({"id", "name", "label", "status", "network", "health"})


class BadFilterError(ValueError):
    """The parameter cannot be read; the engine answers 400 with this message."""


class Filters:
    """Parsed filters: of one name any value may match, of several names each must."""

    def __init__(self, wanted: Mapping[str, frozenset[str]]) -> None:
        self._wanted = wanted

    @classmethod
    def parse(cls, text: str, known: frozenset[str]) -> Filters:
        """Read ``{"name": ["value"]}`` or the older ``{"name": {"value": true}}``.

        Raises BadFilterError for other JSON, or for a name that is not known.
        """
        if not text:
            return cls({})
        try:
            parsed = json.loads(text)
            wanted = {name: frozenset(values) for name, values in parsed.items()}
        except (ValueError, AttributeError, TypeError) as error:
            raise BadFilterError(f"invalid filter: {error}") from error
        for name in wanted:
            if name not in known:
                raise BadFilterError(f"Invalid filter '{name}'")
        return cls(wanted)

    def has(self, name: str) -> bool:
        """Whether the client set this filter."""
        return name in self._wanted

    def wanted(self, name: str) -> frozenset[str] | None:
        """Return the values of a filter, None where the client did not set it."""
        return self._wanted.get(name)

    def match_event(self, event: Mapping[str, Any]) -> bool:
        """Whether the client wants this event."""
        if not self._wanted:
            return True
        kind, actor = event["Type"], event["Actor"]
        names = {actor["ID"], actor["Attributes"].get("name", "")}
        image = {actor["Attributes"].get("image", "")}
        return (
            self._any("type", {kind})
            and self._match_action(event["Action"])
            and self._any("container", names if kind == "container" else ())
            and self._any("network", names if kind == "network" else ())
            and self._any("image", image)
            and self._match_labels(actor["Attributes"])
        )

    def match_entry(self, entry: Mapping[str, Any]) -> bool:
        """Whether the client wants this entry of the container list."""
        if not self._wanted:
            return True
        names = {name.lstrip("/") for name in entry["Names"]}
        networks = entry["NetworkSettings"]["Networks"]
        attached = {*networks, *(each["NetworkID"] for each in networks.values())}
        return (
            self._any("id", {entry["Id"]}, str.startswith)
            and self._any("name", names, lambda name, part: part in name)
            and self._any("status", {entry["State"]})
            and self._any("network", attached)
            and self._any("health", {_health_in(entry["Status"])})
            and self._match_labels(entry["Labels"])
        )

    def _any(
        self,
        name: str,
        values: Iterable[str],
        match: Callable[[str, str], bool] = str.__eq__,
    ) -> bool:
        wanted = self._wanted.get(name)
        if wanted is None:
            return True
        return any(
            value in wanted or any(match(value, each) for each in wanted)
            for value in values
        )

    def _match_action(self, action: str) -> bool:
        is_fuzzy = bool(self._wanted.get("event", frozenset()) & _FUZZY)
        return self._any("event", {action}, str.startswith if is_fuzzy else str.__eq__)

    def _match_labels(self, labels: Mapping[str, str]) -> bool:
        for wanted in self._wanted.get("label", ()):
            key, has_value, value = wanted.partition("=")
            if key not in labels or (has_value and labels[key] != value):
                return False
        return True


def _health_in(status: str) -> str:
    for word in ("unhealthy", "healthy", "starting"):
        if word in status:
            return word
    return "none"
