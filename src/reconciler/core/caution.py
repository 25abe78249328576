"""What may be planned while Docker does not answer: only what is known for sure. Pure.

Whoever is not known may have started meanwhile, and another reconciler, whose Docker answers,
may have placed it. Whoever is known may have ended, and the other one may have released it.
So a slot whose tenant is not known stays as it is, and nobody is placed by memory alone, but
for what an event told a moment ago, and where a HAProxy came up empty.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from reconciler.core.desired import Claim
from reconciler.core.model import ANY_PORT, Endpoint, Place, Server, is_placeholder


Tables = Mapping[str, Mapping[str, Server]]


def sure_tables(
    tables: Tables,
    claims: Iterable[Claim],
    heard: Mapping[str | None, Collection[Place]],
) -> dict[str, dict[str, Server]]:
    """Return the servers that may be planned for: without those of unknown tenants.

    ``heard`` are the places that events were about, by backend: who lived there and has no
    claim any more has ended for sure.
    """
    claimed = {
        one.key for claim in claims if isinstance(one := claim.outcome, Endpoint)
    }
    return {
        backend: {
            name: server
            for name, server in servers.items()
            if is_placeholder(server.address)
            or (backend, server.address, server.port) in claimed
            or _was_heard((server.address, server.port), heard.get(backend, ()))
        }
        for backend, servers in tables.items()
    }


def sure_claims(
    tables: Tables,
    claims: Iterable[Claim],
    heard: Mapping[str | None, Collection[Place]],
) -> list[Claim]:
    """Return the claims that may be planned for: without newcomers that are only remembered."""
    taken = {
        (backend, server.address, server.port)
        for backend, servers in tables.items()
        for server in servers.values()
    }
    return [
        claim
        for claim in claims
        if not isinstance(one := claim.outcome, Endpoint)
        or not one.rotation.may_come
        or one.key in taken
        or _was_heard((one.address, one.port), heard.get(one.backend, ()))
    ]


def _was_heard(place: Place, heard: Collection[Place]) -> bool:
    return place in heard or (place[0], ANY_PORT) in heard
