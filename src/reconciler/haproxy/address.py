"""Where a runtime socket is: the operator's text and its parts."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from reconciler.errors import ConfigError, quoted
from reconciler.haproxy.tls import Tls


@dataclass(frozen=True, slots=True)
class Address:
    """Where a runtime socket is. ``text`` is how the operator wrote it."""

    text: str
    path: str = ""
    host: str = ""
    port: int = 0
    via_master: bool = False
    tls: Tls | None = None
    """How to make sure of each other; None: there is nothing between us and the wire."""

    @classmethod
    def parse(cls, text: str, tls: Tls | None = None) -> Address:
        """Return ``unix:///path``, ``tcp://host:port``, ``tls://host:port`` or
        ``master+unix:///path`` as parts.

        ``tls`` is used where the address asks for it. Raises ConfigError for anything else.
        """
        try:
            url = urlsplit(text)
            host, port = url.hostname or "", url.port or 0
        except ValueError:
            raise _bad_address(text) from None
        scheme = url.scheme.removeprefix("master+")
        via_master = scheme != url.scheme
        if url.query or url.fragment or "\0" in text or "@" in url.netloc:
            raise _bad_address(text)
        if scheme == "unix" and not url.netloc and len(url.path) > 1:
            return cls(text, path=url.path, via_master=via_master)
        if scheme == "tcp" and host and port and url.path in ("", "/"):
            return cls(text, host=host, port=port, via_master=via_master)
        is_plain = not via_master and url.path in ("", "/")
        if scheme == "tls" and host and port and is_plain:
            return cls(text, host=host, port=port, tls=tls or Tls())
        raise _bad_address(text)


def _bad_address(text: str) -> ConfigError:
    return ConfigError(
        f"{quoted(text)} is no address of a haproxy runtime socket: unix:///path, "
        "tcp://host:port, tls://host:port and master+unix:///path are"
    )
