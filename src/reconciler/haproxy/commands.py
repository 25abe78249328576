"""Actions and questions → lines of the runtime API. Nothing unsafe leaves this module.

The runtime API has no quoting: a space ends a word, ``;``, a line break and NUL end a
command, ``\\`` swallows what follows, and ``<<`` makes HAProxy wait for a payload. And it
checks little: ``port 99999`` is taken modulo 65536. So every word is checked here, against
what it may be and not against what it may not; what fails is a LocalProtocolError, and
nothing of it is sent.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import assert_never

from reconciler.core.model import (
    MAX_WEIGHT,
    UNKNOWN_PORT,
    Action,
    AdminState,
    ConfirmAddress,
    ServerRef,
    SetAddress,
    SetAgent,
    SetHealthDown,
    SetHealthUp,
    SetState,
    SetWeight,
    ShutdownSessions,
    canonical_address,
    is_placeholder,
)
from reconciler.errors import LocalProtocolError, quoted


MAX_LINE_BYTES = 4096
"""The longest line sent. HAProxy 3.2 and later refuse lines of its buffer size (16 kB)."""

MAX_PORT = 65535

MAX_ID = 2**31 - 1
"""The largest number a server may have (configuration manual 5.2, ``id``)."""

SHOW_INFO = "show info"
SHOW_DEV = "show dev"

_NAME = re.compile(r"[A-Za-z0-9_:.-]{1,255}")
_SAFE_LINE = re.compile(r"[ -~]+")
_UNSAFE = re.compile(r"[;\\]|<<")
_SESSION_WORDS = frozenset({"prompt", "quit", "user", "operator"})


_canonical = lru_cache(maxsize=1 << 15)(canonical_address)
"""The same few addresses are set, read back and set free again, pass after pass."""


def name(text: str) -> str:
    """Return a backend's or server's name, if it is one (configuration manual 2.2)."""
    if _NAME.fullmatch(text) is None:
        raise LocalProtocolError(
            f"{quoted(text)} is no name of a backend or server: "
            "only letters, digits, - _ . and : may stand in one"
        )
    return text


@lru_cache(maxsize=1 << 15)
def reference(ref: ServerRef) -> str:
    """Return ``backend/server``, if both are names."""
    return f"{name(ref.backend)}/{name(ref.server)}"


def address(text: str) -> str:
    """Return an IP address in its canonical spelling, if it is one."""
    try:
        return _canonical(text)
    except ValueError:
        raise LocalProtocolError(f"{quoted(text)} is no IPv4 or IPv6 address") from None


def port(number: int) -> str:
    """Return a TCP port, if it is one: an integer of 1 to 65535."""
    return _integer(number, low=1, high=MAX_PORT, what="port")


def weight(number: int) -> str:
    """Return a server's weight, if it is one: an integer of 0 to 256."""
    return _integer(number, low=0, high=MAX_WEIGHT, what="weight")


def _integer(number: int, *, low: int, high: int, what: str) -> str:
    # bool is an int to Python, and a str would slip through a comparison-free path.
    if type(number) is not int or not low <= number <= high:
        raise LocalProtocolError(
            f"{quoted(number)} is no {what}: an integer from {low} to {high} is"
        )
    return str(number)


@lru_cache(maxsize=1 << 15)
def _set_server(ref: ServerRef) -> str:
    """Return how every line begins that sets something of a server."""
    return f"set server {reference(ref)}"


_STATES = {state: f" state {state.value}" for state in AdminState}


def command(action: Action) -> str:
    """Return the line that does an action. ConfirmAddress has one too: what it reads.

    Raises LocalProtocolError for any value that may not reach the wire.
    """
    match action:
        case SetWeight():
            line = f"{_set_server(action.ref)} weight {weight(action.weight)}"
        case SetState():
            line = _set_server(action.ref) + _STATES[action.state]
        case SetAddress(ref, text, number):
            line = f"{_set_server(ref)} addr {address(text)}{_port_word(text, number)}"
        case SetHealthDown(ref):
            line = f"{_set_server(ref)} health down"
        case SetHealthUp(ref):
            line = f"{_set_server(ref)} health up"
        case SetAgent(ref, is_enabled):
            line = f"{'enable' if is_enabled else 'disable'} agent {reference(ref)}"
        case ShutdownSessions(ref):
            line = f"shutdown sessions server {reference(ref)}"
        case ConfirmAddress(ref):
            line = show_servers_state(ref.backend)
        case _:
            assert_never(action)
    return line


def _port_word(text: str, number: int | None) -> str:
    """Return the port of a ``set server … addr``; only a placeholder may go without one."""
    if number is None:
        return ""
    if number == UNKNOWN_PORT and is_placeholder(text):
        return f" port {UNKNOWN_PORT}"
    return f" port {port(number)}"


def lines(action: Action) -> tuple[str, ...]:
    """Return every line that is sent for an action: a guard may stand before its command.

    An address is only ever set in maint. The plan sees to it; but another reconciler or an
    operator may have made the slot ready since it was read, and saying so again is cheap.
    """
    if isinstance(action, SetAddress):
        return (_set_server(action.ref) + _STATES[AdminState.MAINT], command(action))
    return (command(action),)


def purpose(action: Action) -> str:
    """Return what an action is for, as the beginning of an error message reads it."""
    match action:
        case SetState(ref, state):
            return f"set state of {ref} to {state.value}"
        case SetWeight(ref, number):
            return f"set weight of {ref} to {number}"
        case SetAddress(ref, text, number) | ConfirmAddress(ref, text, number):
            verb = "set" if isinstance(action, SetAddress) else "confirm"
            return f"{verb} address of {ref} to {endpoint(text, number)}"
        case SetHealthDown(ref) | SetHealthUp(ref):
            word = "up" if isinstance(action, SetHealthUp) else "down"
            return f"set health of {ref} to {word}"
        case SetAgent(ref, is_enabled):
            return f"{'enable' if is_enabled else 'disable'} the agent of {ref}"
        case ShutdownSessions(ref):
            return f"shut down the sessions of {ref}"
        case _:
            assert_never(action)


def endpoint(text: str, number: int | None) -> str:
    """Return ``address:port`` for people, IPv6 in brackets, without a port if it is None."""
    host = f"[{text}]" if ":" in text else text
    return host if number is None else f"{host}:{number}"


def show_servers_state(backend: str | None = None) -> str:
    """Return the question for the servers of one backend, or of all (None)."""
    return _of_backend("show servers state", backend)


def show_servers_conn(backend: str | None = None) -> str:
    """Return the question for the connections of one backend's servers, or of all."""
    return _of_backend("show servers conn", backend)


def show_server_stat(backend: str | None = None) -> str:
    """Return the question for the statistics of one backend's servers, or of all."""
    return f"show stat {-1 if backend is None else name(backend)} 4 -1"


def show_one_server(backend: str, server_id: int) -> str:
    """Return the question for the statistics of one server, by its number."""
    return f"show stat {name(backend)} 4 {_integer(server_id, low=1, high=MAX_ID, what='server')}"


def show_stat(backend: str | None = None) -> str:
    """Return the question for the statistics of one proxy, or of all (None)."""
    return "show stat" if backend is None else f"show stat {name(backend)} -1 -1"


def show_env(variable: str) -> str:
    """Return the question for one variable of HAProxy's own environment."""
    return f"show env {name(variable)}"


def _of_backend(question: str, backend: str | None) -> str:
    return question if backend is None else f"{question} {name(backend)}"


def checked_line(line: str) -> str:
    """Return a line of another program's making, if it is safe: one command, whole.

    Refused are: an empty or overlong line, anything but printable ASCII, ``;``, ``\\`` and
    ``<<``, and the commands that change the session itself (``prompt``, ``quit``, a level,
    ``@…``, ``set severity-output``), after which replies could not be told apart.
    """
    if len(line) > MAX_LINE_BYTES:
        raise LocalProtocolError(
            f"a command of {len(line)} characters is too long: {MAX_LINE_BYTES} is the limit"
        )
    words = line.split(maxsplit=2)
    if not words or _SAFE_LINE.fullmatch(line) is None:
        raise LocalProtocolError(
            f"{quoted(line)} is no command: one line of printable ASCII is"
        )
    if (found := _UNSAFE.search(line)) is not None:
        raise LocalProtocolError(
            f"{quoted(line)} is no single command: {quoted(found.group())} has a meaning "
            "of its own to haproxy"
        )
    if (
        words[0] in _SESSION_WORDS
        or line.lstrip().startswith("@")
        or words[:2] == ["set", "severity-output"]
    ):
        raise LocalProtocolError(
            f"{quoted(line)} would change the session that all commands share"
        )
    return line
