"""What the pages of the manual say behind the options: examples, exit codes, see also."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Manual(NamedTuple):
    """What one command's page says behind its options."""

    examples: Sequence[tuple[str, str]]
    """What each is for, and the command line."""
    exits: Mapping[int, str]
    see_also: str
    heeds: frozenset[str] = frozenset()
    """The daemon's settings that this command heeds, too."""


_READ = "Docker or a HAProxy could not be read; the reason is on standard error."
_USAGE = "Wrong usage: an option, the file, or a setting that cannot work."
_HAND = {
    0: "Done, or so already.",
    1: "It could not be done, or with --wait did not come true in time.",
    2: _USAGE,
}

MANUAL: Mapping[str, Manual] = {
    "run": Manual(
        examples=[
            (
                "Fill the slots of one HAProxy",
                "reconciler run --haproxy unix:///run/haproxy/admin.sock",
            ),
            ("With all settings in a file", "reconciler run --config reconciler.toml"),
            ("Say more of what it does", "reconciler run -v"),
        ],
        exits={
            0: "It was asked to stop, by SIGTERM or SIGINT.",
            2: "It cannot start: an option, the file, or the port of --listen.",
        },
        see_also="docs/operations.md: what it needs, what it survives, metrics and logs.",
    ),
    "slots": Manual(
        examples=[
            (
                "The map of one backend, free slots too",
                "reconciler slots --backend web --all",
            ),
            (
                "Who waits for a slot",
                "reconciler slots --json | jq '.unplaced[].container'",
            ),
        ],
        exits={0: "Done.", 1: f"{_READ} Or no HAProxy has that backend.", 2: _USAGE},
        see_also="reconciler explain, events; docs/configuration.md: the JSON.",
    ),
    "plan": Manual(
        examples=[
            (
                "What would happen with another network",
                "reconciler plan --network front",
            ),
            ("Every command that would be sent", "reconciler plan --commands"),
            (
                "Stop a script where something is pending",
                "reconciler plan > /dev/null || exit",
            ),
        ],
        exits={0: "Nothing to do.", 1: _READ, 2: _USAGE, 3: "Changes are pending."},
        see_also="reconciler explain; docs/configuration.md: kinds of changes, the JSON.",
    ),
    "explain": Manual(
        examples=[
            ("Why a container gets no traffic", "reconciler explain demo-web-3"),
            ("Who lives in a slot, and why it is down", "reconciler explain web/slot3"),
            (
                "The first rule that keeps it out",
                "reconciler explain demo-web-3 --json | jq '.verdict'",
            ),
        ],
        exits={
            0: "It was explained, whether it has a slot or not.",
            1: f"{_READ} Or there is no such container or slot.",
            2: _USAGE,
        },
        see_also="reconciler slots, check; docs/labels.md: the rules and their labels.",
    ),
    "check": Manual(
        examples=[
            ("Before the first start", "reconciler check --base-cfg haproxy/base.cfg"),
            (
                "Only what is broken",
                "reconciler check --json | jq '.findings[] | select(.verdict == \"FAIL\")'",
            ),
        ],
        exits={0: "Nothing is broken.", 1: "Something is.", 2: _USAGE},
        see_also="reconciler explain; docs/operations.md: what it needs.",
    ),
    "drain": Manual(
        examples=[
            (
                "Stop a container and lose no session",
                "reconciler drain web-1 --wait 60 && docker stop web-1",
            ),
            ("By its slot, where Docker cannot be read", "reconciler drain web/slot3"),
        ],
        exits=_HAND,
        see_also="reconciler ready, maint; docs/draining.md: what a drain is.",
    ),
    "ready": Manual(
        examples=[
            ("Back into rotation", "reconciler ready web-1"),
            ("And wait until HAProxy calls it up", "reconciler ready web-1 --wait 30"),
        ],
        exits=_HAND,
        see_also="reconciler drain, maint; docs/operations.md: by hand.",
    ),
    "maint": Manual(
        examples=[
            ("No traffic and no checks", "reconciler maint web-1"),
            ("And back", "reconciler ready web-1"),
        ],
        exits=_HAND,
        see_also="reconciler drain, ready; docs/operations.md: by hand.",
    ),
    "events": Manual(
        examples=[
            (
                "What happened in the last ten minutes",
                "reconciler events --since 10m --no-follow",
            ),
            ("Who finds no slot, as it happens", "reconciler events --kind unplaced"),
            ("One backend, for a program", "reconciler events --backend web --json"),
        ],
        exits={
            0: "Ended by Ctrl-C, or with --no-follow when all was printed.",
            1: "No daemon answers at --listen, or something else does.",
            2: _USAGE,
        },
        see_also="reconciler run; docs/configuration.md: kinds of events, the JSON.",
        heeds=frozenset({"listen"}),
    ),
}
"""By the command's name."""

ENVIRONMENT = (
    "Each common option is also a variable, RECONCILER_ and its name in capitals "
    "(RECONCILER_HAPROXY), and a key of the --config file; a flag counts more than a "
    "variable, a variable more than the file. DOCKER_HOST, DOCKER_TLS_VERIFY and "
    "DOCKER_CERT_PATH count where --docker is not given. NO_COLOR takes the colours away."
)
