"""The slot map as it is sent to eyes that stay: rows as fields, and what differs between two.

A table is rows by key, a row is its fields by name. A field that does not apply is left
out, so a free slot is a few bytes. What :func:`difference` returns is all that a reader
needs to bring its own copy up to date: :func:`applied` does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from reconciler.core.model import Server, Tenant
from reconciler.core.view import Reading, is_held, left_at, state_of


Fields = Mapping[str, Any]
Table = Mapping[str, Fields]

SAME_SECONDS = 3
"""HAProxy tells whole seconds, and each reading rounds anew: a date that differs by less is
the same date."""


class Difference(NamedTuple):
    """What makes one table of another."""

    changed: dict[str, dict[str, Any]]
    """By key, the fields that differ: None where one is no more; of a new row all."""
    gone: list[str]

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.changed or self.gone)


def difference(before: Table, after: Table) -> Difference:
    """Return what makes ``after`` of ``before``."""
    changed = {}
    for key, fields in after.items():
        old = before.get(key)
        if old is None:
            changed[key] = dict(fields)
        elif differing := _differing(old, fields):
            changed[key] = differing
    return Difference(changed, [key for key in before if key not in after])


def _differing(old: Fields, new: Fields) -> dict[str, Any]:
    if old == new:
        return {}
    found = {name: None for name in old if name not in new}
    return found | {
        name: value for name, value in new.items() if old.get(name) != value
    }


def applied(before: Table, found: Difference) -> dict[str, dict[str, Any]]:
    """Return the table that a difference makes of another: what the page does."""
    after = {key: dict(f) for key, f in before.items() if key not in set(found.gone)}
    for key, fields in found.changed.items():
        merged = after.get(key, {}) | fields
        after[key] = {name: v for name, v in merged.items() if v is not None}
    return after


def slot_fields(
    server: Server,
    reading: Reading | None,
    tenant: Tenant | None,
    *,
    epoch: float,
) -> dict[str, Any]:
    """Return what is shown of one slot; its key has HAProxy, backend and name.

    The names are those of ``slots --json``, but for ``since``: Unix seconds at which its
    state began, because an age would differ every second. ``epoch`` is what has to be added
    to the server's own dates to make them Unix seconds.
    """
    is_free = server.is_free
    known = tenant if not is_free else None
    since = left_at(server)
    fields = {
        "state": state_of(server, reading),
        "address": None if is_free else server.address,
        "port": None if is_free else server.port,
        "weight": server.weight,
        "sessions": reading.sessions if reading else None,
        "requests_per_second": reading.requests_per_second if reading else None,
        "check": reading.check if reading and not is_free else None,
        "container": known.container if known else None,
        "container_id": known.container_id if known else None,
        "service": known.service if known else None,
        "project": known.project if known else None,
        "held": is_held(server) or None,
        "since": None if since is None else round(since + epoch),
    }
    return {name: value for name, value in fields.items() if value is not None}


def with_steady_date(fields: dict[str, Any], old: Fields | None) -> dict[str, Any]:
    """Return fields with the date that was told before, where it is the same date.

    For a state that has not changed since.
    """
    if old is not None and old["state"] == fields["state"]:
        since, before = fields.get("since"), old.get("since")
        if since is not None and before is not None:
            is_same = abs(since - before) < SAME_SECONDS
            fields["since"] = before if is_same else since
    return fields
