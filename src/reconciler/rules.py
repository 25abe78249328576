"""What the settings mean for the rules: the planner's and the placement's.

The daemon and the commands that look must take the same for granted; and whoever only looks
needs nothing of the daemon's for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from reconciler.config import Settings
from reconciler.core.instances import labels_of
from reconciler.core.model import Container, Process
from reconciler.core.placement import Context
from reconciler.core.plan import Rules
from reconciler.discovery.own import own_container
from reconciler.haproxy.versions import Release, reuse_needs_idle


_NOT_SHARED = frozenset({"host", "none"})
"""Network modes that Docker lists as networks, but that connect nobody."""


def rules_for(settings: Settings) -> Callable[[Process], Rules]:
    """Return the planner's rules for a HAProxy process, by its version."""

    @lru_cache(maxsize=64)
    def rules(release: Release) -> Rules:
        return Rules(
            slot_prefix=settings.slot_prefix,
            reuse_needs_idle=reuse_needs_idle(release),
            drain_seconds=settings.drain_seconds,
            trusts_healthcheck=settings.trusts_healthcheck,
            max_release=settings.max_release / 100,
        )

    return lambda process: rules(process.release)


def context_for(
    settings: Settings, own_id: str | None
) -> Callable[[Mapping[str, Container]], Context]:
    """Return what the placement rules take for granted, given the running containers.

    What was once known of our own container stays: a reading that lacks it is no reason to
    place others differently. Ports that HAProxys tell are not in it.
    """
    last: tuple[Container | None, Context] | None = None

    def context(containers: Mapping[str, Container]) -> Context:
        nonlocal last
        own = own_container(containers, own_id)
        if last is None or (own is not None and last[0] is not own):
            last = (own, given(own))
        return last[1]

    def given(own: Container | None) -> Context:
        projects = frozenset(settings.projects)
        if not projects and own is not None and own.project is not None:
            projects = frozenset({own.project})
        networks = {a.network for a in own.networks} if own is not None else set()
        return Context(
            projects=projects or None,
            network=settings.network,
            shared_networks=frozenset(networks - _NOT_SHARED),
            default_ports=dict(settings.backend_ports),
            instance_labels=labels_of(settings.sources),
        )

    return context
