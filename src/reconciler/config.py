"""Settings: one frozen value, made at the edge from flags, environment and a TOML file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from reconciler.core.cfg_sections import CfgFile
from reconciler.core.instances import Source, is_source, source_of
from reconciler.core.keeping import MAX_RELEASE
from reconciler.core.plan import DRAIN_SECONDS
from reconciler.core.slot_file import SlotFile
from reconciler.errors import ConfigError, quoted
from reconciler.haproxy.client import DEFAULT_TIMEOUT_SECONDS
from reconciler.haproxy.tls import Tls


DEFAULT_HAPROXY = "unix:///run/haproxy/admin.sock"
DEFAULT_LISTEN = "127.0.0.1:9700"
_CFG = ".cfg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything an operator can choose."""

    haproxy: tuple[str, ...] = (DEFAULT_HAPROXY,)
    """Runtime sockets, each of one HAProxy: unix:///PATH, tcp://HOST:PORT or
    master+unix:///PATH; and sources of HAProxies: docker://LABEL or swarm://SERVICE."""
    haproxy_timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    """How long HAProxy may be silent in the middle of an exchange."""
    haproxy_ca: Path | None = None
    """Who signed the certificates of HAProxies by tls://; None: whom the system trusts."""
    haproxy_cert: Path | None = None
    """Our own certificate for them, with its key."""
    haproxy_name: str | None = None
    """The name in their certificates; None: the host in each address."""
    docker: str | None = None
    """The engine, as in DOCKER_HOST; None takes the environment's, else the usual socket."""
    swarm: str = "auto"
    """Whether the tasks of the engine's swarm are followed: ``auto`` (where it is a manager),
    ``on`` (it has to be one) or ``off``."""
    projects: tuple[str, ...] = ()
    """Compose projects whose service names count as backend names. Empty: the reconciler's
    own project where it runs in one, else all."""
    network: str | None = None
    """The network whose addresses HAProxy dials. None: the one shared with us."""
    slot_prefix: str = "slot"
    """Servers named so, plus a number, are slots. All others are never touched."""
    backend_ports: Mapping[str, int] = field(default_factory=dict)
    """Default port by backend, for containers that tell none."""
    base_cfg: tuple[Path, ...] = ()
    """HAProxy's configuration, read for the ports on its server-template lines: files, and
    folders of files, in the order in which HAProxy is given them by ``-f``."""
    resync_seconds: float = 30.0
    """How often everything is read again in case an event was missed: cheap, so often."""
    drain_seconds: float = DRAIN_SECONDS
    """How long the slot of a container that stops, or is unhealthy, is kept for its sessions
    where somebody waits for it; a container's own label comes first."""
    max_release: float = 100 * MAX_RELEASE
    """How many percent of a backend's ready slots may be released whose containers run on,
    where only a change on our own side explains it."""
    trusts_healthcheck: bool = False
    """Whether a container that Docker calls healthy gets traffic before HAProxy's own check
    has passed."""
    listen: tuple[str, int] | None = ("127.0.0.1", 9700)
    """Where metrics and health are served; None serves nothing."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names that are asked for the page, beside addresses and names without a dot."""
    log_format: str = "text"
    log_level: str = "info"

    @property
    def sockets(self) -> tuple[str, ...]:
        """The HAProxies that are given by their runtime sockets."""
        return tuple(one for one in self.haproxy if not is_source(one))

    @property
    def sources(self) -> tuple[Source, ...]:
        """Where other HAProxies are found. Raises ConfigError for what is no source."""
        return tuple(source_of(one) for one in self.haproxy if is_source(one))

    @property
    def tls(self) -> Tls:
        """What every connection by TLS needs."""
        return Tls(
            ca=self.haproxy_ca,
            certificate=self.haproxy_cert,
            name=self.haproxy_name or "",
        )

    def check_tls(self) -> None:
        """Raise ConfigError where TLS is asked for, and its files cannot be used."""
        if any(one.is_tls for one in self.sources) or any(
            one.startswith("tls://") for one in self.sockets
        ):
            self.tls.context()

    def slot_file(self) -> SlotFile:
        """Return what HAProxy's configuration may tell of slots.

        Raises ConfigError: base_cfg cannot be read.
        """
        return SlotFile(read_base_cfg(self.base_cfg), self.slot_prefix)


def read_base_cfg(paths: Iterable[Path]) -> tuple[CfgFile, ...]:
    """Return HAProxy's configuration, file by file. Raises ConfigError.

    Of a folder those files are read that HAProxy itself would read of it.
    """
    return tuple(_cfg_file(one) for path in paths for one in _cfg_files(path))


def _cfg_files(path: Path) -> list[Path]:
    """Return the files that a path stands for: itself, or the folder's in their order."""
    if not path.is_dir():
        return [path]
    try:
        found = [one for one in path.iterdir() if _is_cfg_name(one.name)]
    except OSError as error:
        raise _unreadable(path, error) from error
    files = sorted((one for one in found if one.is_file()), key=os.fsencode)
    if not files:
        raise ConfigError(
            f"base-cfg {quoted(path)} is a folder without a file named *.cfg: HAProxy reads "
            "no other; give the path of HAProxy's configuration, or leave the option out"
        )
    return files


def _is_cfg_name(name: str) -> bool:
    return not name.startswith(".") and name.find(_CFG) == len(name) - len(_CFG)


def _cfg_file(path: Path) -> CfgFile:
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise _unreadable(path, error) from error
    return CfgFile(str(path), text)


def _unreadable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"base-cfg {quoted(path)} cannot be read: {error.strerror}; "
        "give the path of HAProxy's configuration, or leave the option out"
    )


def read_toml(path: Path, keys: Mapping[str, str]) -> dict[str, Any]:
    """Return a configuration file's values by option name.

    ``keys`` maps each accepted key to the option it sets. Raises ConfigError, naming the
    file and the key, where it cannot be read, does not parse or has an unknown key.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"config file {quoted(path)} cannot be read: {error.strerror}"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"config file {quoted(path)} is not TOML: {error}") from error
    values = {}
    for key, value in document.items():
        option = keys.get(key.replace("_", "-"))
        if option is None:
            close = get_close_matches(key.replace("_", "-"), keys, 1)
            meant = f"did you mean {close[0]}? " if close else ""
            accepted = ", ".join(sorted(keys))
            raise ConfigError(
                f"config file {quoted(path)} has an unknown key {quoted(key)}; "
                f"{meant}accepted keys: {accepted}"
            )
        values[option] = value
    return values
