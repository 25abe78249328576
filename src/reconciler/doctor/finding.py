"""What ``check`` says: findings, each with a stable code and that code's verdict."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import NamedTuple


class Verdict(enum.Enum):
    """How bad a finding is. Only FAIL makes ``check`` exit 1."""

    OK = "ok"
    NOTE = "note"
    WARN = "warn"
    FAIL = "FAIL"


_OK, _NOTE, _WARN, _FAIL = Verdict


class Code(enum.Enum):
    """Every kind of finding: the code that programs see, and how bad it is.

    docs/check.md says of each what it means and how it is mended; a test compares.
    """

    BASE_CFG_UNREADABLE = "base-cfg-unreadable", _FAIL
    PROJECTS = "projects", _OK
    PROJECT_UNKNOWN = "project-unknown", _WARN
    NETWORK_UNKNOWN = "network-unknown", _WARN
    BACKEND_PORT_UNKNOWN = "backend-port-unknown", _WARN
    OWN_CONTAINER_UNKNOWN = "own-container-unknown", _NOTE

    DOCKER = "docker", _OK
    DOCKER_REQUESTS = "docker-requests", _OK
    DOCKER_ABSENT = "docker-absent", _FAIL
    DOCKER_PERMISSION = "docker-permission", _FAIL
    DOCKER_DOWN = "docker-down", _FAIL
    DOCKER_SILENT = "docker-silent", _FAIL
    DOCKER_ERROR = "docker-error", _FAIL
    DOCKER_REFUSES = "docker-refuses", _FAIL
    DOCKER_OLD = "docker-old", _WARN
    SWARM = "swarm", _OK
    SWARM_WORKER = "swarm-worker", _NOTE
    SWARM_ERROR = "swarm-error", _FAIL
    SOCKET_MOUNTED = "socket-mounted", _NOTE

    HAPROXY = "haproxy", _OK
    HAPROXY_LEVEL = "haproxy-level", _OK
    HAPROXY_SLOTS = "haproxy-slots", _OK
    HAPROXY_NOT_FOUND = "haproxy-not-found", _FAIL
    HAPROXY_ABSENT = "haproxy-absent", _FAIL
    HAPROXY_DOWN = "haproxy-down", _FAIL
    HAPROXY_PERMISSION = "haproxy-permission", _FAIL
    HAPROXY_SILENT = "haproxy-silent", _FAIL
    HAPROXY_STOPPING = "haproxy-stopping", _FAIL
    HAPROXY_ERROR = "haproxy-error", _FAIL
    NOT_A_HAPROXY = "not-a-haproxy", _FAIL
    LEVEL_TOO_LOW = "level-too-low", _FAIL
    HAPROXY_OLD = "haproxy-old", _WARN
    HAPROXY_NBPROC = "haproxy-nbproc", _FAIL
    SAME_PROCESS = "same-process", _WARN
    SOCKET_WORLD_WRITABLE = "socket-world-writable", _WARN
    IDLE_REUSE = "idle-reuse", _NOTE
    NO_SLOTS = "no-slots", _FAIL

    SLOTS = "slots", _OK
    SLOTS_FULL = "slots-full", _WARN
    SLOTS_HEAD_ROOM = "slots-head-room", _NOTE
    SLOTS_GAP = "slots-gap", _NOTE
    SLOT_HELD = "slot-held", _NOTE
    SLOT_STRAY = "slot-stray", _WARN
    TENANT_UNCLEAR = "tenant-unclear", _WARN
    RELEASE_LIMIT = "release-limit", _FAIL
    SLOT_REFUSED = "slot-refused", _WARN
    SLOT_UNREACHABLE = "slot-unreachable", _WARN
    SLOT_DOWN = "slot-down", _WARN
    BACKEND_WITHOUT_SLOTS = "backend-without-slots", _NOTE

    BASE_CFG = "base-cfg", _OK
    TEMPLATE = "template", _OK
    BASE_CFG_NO_SLOTS = "base-cfg-no-slots", _FAIL
    BASE_CFG_DIFFERS = "base-cfg-differs", _WARN
    BASE_CFG_CONDITION = "base-cfg-condition", _NOTE
    BASE_CFG_VARIABLE = "base-cfg-variable", _NOTE
    BACKEND_TWICE = "backend-twice", _FAIL
    TEMPLATE_ENABLED = "template-enabled", _FAIL
    TEMPLATE_RESOLVERS = "template-resolvers", _FAIL
    TEMPLATE_HOST_NAME = "template-host-name", _FAIL
    TEMPLATE_FAMILY = "template-family", _FAIL
    TEMPLATE_UNSET_ADDRESS = "template-unset-address", _FAIL
    TEMPLATE_ADDRESS = "template-address", _WARN
    TEMPLATE_CHECK_ADDR = "template-check-addr", _FAIL
    TEMPLATE_CHECK_PORT = "template-check-port", _NOTE
    TEMPLATE_PORT = "template-port", _NOTE
    TEMPLATE_UNCHECKED = "template-unchecked", _NOTE
    TEMPLATE_INIT_STATE = "template-init-state", _NOTE
    TEMPLATE_WEIGHT = "template-weight", _FAIL
    TEMPLATE_COOKIE = "template-cookie", _WARN
    SLOT_BY_HAND = "slot-by-hand", _FAIL
    SLOT_PREFIX_CLASH = "slot-prefix-clash", _FAIL
    STATE_FILE = "state-file", _FAIL
    REDISPATCH = "redispatch", _WARN
    RETRIES = "retries", _WARN
    PERSIST = "persist", _WARN
    MARKED_DOWN_SHUTDOWN = "marked-down-shutdown", _WARN
    AGENT_CHECK = "agent-check", _NOTE
    SLOW_START = "slow-start", _NOTE
    COOKIE_NOT_DYNAMIC = "cookie-not-dynamic", _WARN
    STICK_TO_NAME = "stick-to-name", _WARN
    STATIC_BALANCE = "static-balance", _WARN
    HASH_BY_SLOT = "hash-by-slot", _NOTE
    HTTP_REUSE_ALWAYS = "http-reuse-always", _NOTE
    STATS_SOCKET_LEVEL = "stats-socket-level", _WARN
    STATS_SOCKET_TLS = "stats-socket-tls", _FAIL
    STATS_SOCKET_MODE = "stats-socket-mode", _WARN
    STATS_SOCKET_TCP = "stats-socket-tcp", _WARN
    STATS_MAXCONN = "stats-maxconn", _WARN
    STATS_TIMEOUT = "stats-timeout", _NOTE

    CONTAINERS = "containers", _OK
    CONTAINER_LABEL = "container-label", _FAIL
    CONTAINER_LABEL_UNKNOWN = "container-label-unknown", _NOTE
    CONTAINER_BACKEND = "container-backend", _FAIL
    CONTAINER_PORT = "container-port", _FAIL
    CONTAINER_ADDRESS = "container-address", _FAIL
    CONTAINER_DUPLICATE = "container-duplicate", _FAIL
    CONTAINER_NO_SLOT = "container-no-slot", _FAIL
    CONTAINER_WAITS = "container-waits", _NOTE
    CONTAINER_STARTING_LONG = "container-starting-long", _WARN
    CONTAINER_UNHEALTHY = "container-unhealthy", _WARN
    CONTAINER_DISABLED = "container-disabled", _NOTE
    CONTAINER_ONE_OFF = "container-one-off", _NOTE
    CONTAINER_BORROWED_NAME = "container-borrowed-name", _NOTE
    NETWORK_NOT_SHARED = "network-not-shared", _WARN

    DAEMON = "daemon", _OK
    DAEMON_ABSENT = "daemon-absent", _NOTE
    DAEMON_NOT_OURS = "daemon-not-ours", _NOTE
    DAEMON_NOT_READY = "daemon-not-ready", _WARN
    DAEMON_VERSION = "daemon-version", _NOTE
    DAEMON_HAPROXIES = "daemon-haproxies", _NOTE

    def __init__(self, text: str, verdict: Verdict) -> None:
        self.text = text
        self.verdict = verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at: what it is, how it is, and how to mend it ('' where fine)."""

    verdict: Verdict
    thing: str
    text: str
    mend: str = ""
    section: str = ""
    """Under which heading it stands, such as ``backend web``."""
    code: str = ""
    """What kind of finding it is: one of docs/check.md."""


class Pitfall(NamedTuple):
    """What a configuration line does wrong, and what to write instead."""

    code: Code
    text: str
    mend: str


def found(
    code: Code, thing: str, text: str, mend: str = "", *, section: str
) -> Finding:
    """Return a finding with its code's verdict, free of control characters."""
    return Finding(
        verdict=code.verdict,
        thing=_printable(thing),
        text=_printable(text),
        mend=_printable(mend),
        section=_printable(section),
        code=code.text,
    )


_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]")


def _printable(text: str) -> str:
    """Escape what could move a terminal's cursor or forge a line."""
    return _UNPRINTABLE.sub(lambda m: repr(m[0])[1:-1], text)
