"""Everything this package raises on purpose, in one tree.

::

    ReconcilerError
    ├── ConfigError                  a setting, a file or an environment variable
    ├── DiscoveryError               the Docker side
    │   └── DockerUnavailableError   the engine cannot be reached or refuses
    ├── HandError                    an operator asked for it, and it did not come true
    │   └── TargetError              what was named is no occupied slot, or not clearly one
    └── RuntimeSocketError           the HAProxy side
        ├── ConnectError             the socket is absent, refused or not permitted
        ├── ReplyTimeoutError        connected, but no whole reply in time
        ├── ProtocolError
        │   ├── LocalProtocolError   we were about to send nonsense; nothing was sent
        │   └── RemoteProtocolError  HAProxy sent what no HAProxy sends, or stopped mid-reply
        └── CommandRejectedError     HAProxy understood the command and refused it
            ├── PermissionDeniedError  the socket's level is too low
            ├── NoSuchServerError      no backend or server of that name
            └── NotSupportedError      not in this version, or not for this server

Messages are lower case, name the thing first and the cause second, quote foreign text
exactly and cap it, and say how to mend it where that is known. Credentials in a URL never
get into one.
"""

from __future__ import annotations

import re


QUOTE_LIMIT = 256
"""Foreign text in a message is cut here: enough to recognise it, too little to flood a log."""


def quoted(text: object) -> str:
    """Return foreign text as one printable, quoted line of at most ``QUOTE_LIMIT`` characters.

    Control characters come out escaped, so that a label or a reply can never forge a
    log line or move a terminal's cursor. Credentials in URLs come out as ``***``.
    """
    raw = without_credentials(str(text))
    cut = raw if len(raw) <= QUOTE_LIMIT else raw[:QUOTE_LIMIT]
    shown = cut.encode("unicode_escape").decode("ascii").replace('"', '\\"')
    more = len(raw) - len(cut)
    return f'"{shown}"' + (f" (and {more} more characters)" if more else "")


_USER_INFO = re.compile(r"://[^\s/?#\"']*@")
"""What stands between ``://`` and the host's ``@`` (RFC 3986, 3.2). It begins with letters
that do not repeat, so that a hostile text of 255 kB costs one reading of it."""


def without_credentials(text: str) -> str:
    """Return a text with the user and the password of every URL in it as ``***``."""
    return _USER_INFO.sub("://***@", text)


def printable(text: str) -> str:
    """Return foreign text fit for one line of a terminal or a log: controls are escaped.

    Letters of all scripts stay as they are; where nothing else tells where the text ends,
    :func:`quoted` does.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii")
        for one in text
    )


class ReconcilerError(Exception):
    """The base of all errors of this package."""


class ConfigError(ReconcilerError):
    """A setting is wrong. The message names it, its value and the accepted form."""


class DiscoveryError(ReconcilerError):
    """Docker could not be read as expected."""


class DockerUnavailableError(DiscoveryError):
    """The engine cannot be reached, or refuses to answer."""


class SwarmError(DiscoveryError):
    """The engine cannot tell of the swarm that it should tell of."""


class HandError(ReconcilerError):
    """What an operator asked for by hand cannot be, or did not come true in time."""


class TargetError(HandError):
    """What was named is no slot with a tenant, or not clearly one."""


class RuntimeSocketError(ReconcilerError):
    """Something went wrong between us and one HAProxy runtime socket.

    ``address`` is the socket as the operator wrote it (``unix:///run/haproxy/admin.sock``).
    """

    def __init__(self, message: str, *, address: str = "") -> None:
        super().__init__(message)
        self.address = address


class ConnectError(RuntimeSocketError):
    """No connection: the socket is absent, nobody listens, or we may not open it."""


class ReplyTimeoutError(RuntimeSocketError):
    """The connection stands, but a whole reply did not come in time."""


class ProtocolError(RuntimeSocketError):
    """The base of what breaks the conversation itself."""


class LocalProtocolError(ProtocolError):
    """We were about to send something that is not a safe command. Nothing was sent."""


class RemoteProtocolError(ProtocolError):
    """HAProxy closed mid-reply, or sent bytes that cannot be a reply."""


class CommandRejectedError(RuntimeSocketError):
    """HAProxy understood the conversation, but refused this command.

    ``command`` is the line as sent, ``reply`` HAProxy's whole answer (severity prefix
    removed), ``severity`` the syslog level it gave (3 is an error) or None.
    """

    def __init__(
        self,
        message: str,
        *,
        command: str,
        reply: str,
        severity: int | None = None,
        address: str = "",
    ) -> None:
        super().__init__(message, address=address)
        self.command = command
        self.reply = reply
        self.severity = severity


class PermissionDeniedError(CommandRejectedError):
    """The runtime socket's level is too low for this command (``level admin`` is needed)."""


class NoSuchServerError(CommandRejectedError):
    """HAProxy has no backend or server of that name."""


class NotSupportedError(CommandRejectedError):
    """This HAProxy version does not know the command, or cannot do it on this server."""
