"""The options every command shares: flag over environment over ``--config`` file."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from reconciler.cli.page import CommonOption, DaemonOption
from reconciler.config import DEFAULT_HAPROXY, DEFAULT_LISTEN, Settings, read_toml
from reconciler.core.instances import is_source, source_of
from reconciler.core.keeping import MAX_RELEASE
from reconciler.core.placement import MAX_DRAIN_SECONDS
from reconciler.core.plan import DRAIN_SECONDS
from reconciler.errors import ConfigError, quoted
from reconciler.haproxy.address import Address
from reconciler.haproxy.client import DEFAULT_TIMEOUT_SECONDS
from reconciler.logs import show_questions


Command = TypeVar("Command", bound=Callable[..., Any])

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

_MAX_PORT = 65535


class HaproxyUrl(click.ParamType[str]):
    """The address of a runtime socket, or a source of HAProxies."""

    name = "url"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return the address as written, once it is understood."""
        try:
            if is_source(value):
                source_of(value)
            else:
                Address.parse(value)
        except ConfigError as error:
            self.fail(str(error), param, ctx)
        return value


class Listen(click.ParamType[tuple[str, int] | None]):
    """HOST:PORT, or off."""

    name = "host:port"

    def convert(
        self,
        value: str | tuple[str, int],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, int] | None:
        """Return host and port, None for off."""
        if isinstance(value, tuple):
            return value
        if value.lower() in {"off", "none", ""}:
            return None
        host, _, port = value.rpartition(":")
        if not host or _port(port) is None:
            self.fail(f"{quoted(value)} is not HOST:PORT or off", param, ctx)
        return host.strip("[]"), int(port)


class BackendPort(click.ParamType[tuple[str, int]]):
    """BACKEND=PORT."""

    name = "backend=port"

    def convert(
        self,
        value: str | tuple[str, int],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, int]:
        """Return the backend and its port."""
        if isinstance(value, tuple):
            return value
        backend, _, port = value.partition("=")
        if not backend or _port(port) is None:
            self.fail(
                f"{quoted(value)} is not BACKEND=PORT with a port from 1 to {_MAX_PORT}",
                param,
                ctx,
            )
        return backend, int(port)


class CfgPath(click.Path):
    """A file or a folder of HAProxy's configuration; in the environment spaces part them."""

    envvar_list_splitter = None  # type: ignore[assignment] # as any other option's


def _port(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_PORT))):
        return None
    return int(text) if 0 < int(text) <= _MAX_PORT else None


KEYS: Mapping[str, str] = {
    "haproxy": "haproxy",
    "haproxy-timeout": "haproxy_timeout_seconds",
    "haproxy-ca": "haproxy_ca",
    "haproxy-cert": "haproxy_cert",
    "haproxy-name": "haproxy_name",
    "docker": "docker",
    "swarm": "swarm",
    "project": "projects",
    "network": "network",
    "slot-prefix": "slot_prefix",
    "backend-port": "backend_ports",
    "base-cfg": "base_cfg",
    "resync": "resync_seconds",
    "drain-timeout": "drain_seconds",
    "max-release": "max_release",
    "trust-healthcheck": "trusts_healthcheck",
    "listen": "listen",
    "allow-host": "allowed_hosts",
    "log-format": "log_format",
    "log-level": "log_level",
}
"""Keys of the configuration file, and the settings they are."""

_REPEATABLE = frozenset(
    {"haproxy", "projects", "backend_ports", "base_cfg", "allowed_hosts"}
)
_NUMBERS = frozenset(
    {"haproxy_timeout_seconds", "drain_seconds", "resync_seconds", "max_release"}
)
_SWITCHES = frozenset({"trusts_healthcheck"})
_TEXT = frozenset(KEYS.values()) - _REPEATABLE - _NUMBERS - _SWITCHES


def _read_config(
    ctx: click.Context, _: click.Parameter, path: Path | None
) -> Path | None:
    """Make the file's values the defaults of all other options."""
    if path is None:
        return None
    try:
        values = read_toml(path, KEYS)
        found = {
            option: _from_file(path, option, value) for option, value in values.items()
        }
        ctx.default_map = {**(ctx.default_map or {}), **found}
    except ConfigError as error:
        raise click.UsageError(str(error), ctx) from error
    return path


def _from_file(path: Path, option: str, value: object) -> object:
    """Return a TOML value in the form the option takes. Raises ConfigError."""
    key = next(key for key, name in KEYS.items() if name == option)
    if option == "backend_ports" and isinstance(value, dict):
        return [f"{backend}={port}" for backend, port in value.items()]
    if option in _REPEATABLE:
        listed = value if isinstance(value, list) else [value]
        if all(isinstance(one, str) for one in listed):
            return listed
        accepted = "a string or a list of strings"
    elif option in _TEXT:
        if isinstance(value, str):
            return value
        accepted = "a string"
    elif option in _SWITCHES:
        if isinstance(value, bool):
            return value
        accepted = "true or false"
    else:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        is_share = option == "max_release"
        accepted = f"a number of {'percent' if is_share else 'seconds'}"
    raise ConfigError(
        f"config file {quoted(path)}: {key} is {quoted(value)}: it must be {accepted}"
    )


_common = functools.partial(click.option, cls=CommonOption)
_daemon = functools.partial(click.option, cls=DaemonOption)

_OPTIONS = (
    _common(
        "--config",
        type=click.Path(path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=_read_config,
        envvar="RECONCILER_CONFIG",
        help="A TOML file with any of these options as keys.",
    ),
    _common(
        "--haproxy",
        type=HaproxyUrl(),
        multiple=True,
        default=(DEFAULT_HAPROXY,),
        show_default=True,
        envvar="RECONCILER_HAPROXY",
        help="A HAProxy's runtime socket: unix:///PATH, tcp://HOST:PORT, "
        "tls://HOST:PORT or master+unix:///PATH; or where to find HAProxies that come and go: "
        "docker://LABEL[=VALUE] or swarm://SERVICE. Repeat for several.",
    ),
    _common(
        "--haproxy-timeout",
        "haproxy_timeout_seconds",
        type=click.FloatRange(min=0.1, max=60),
        default=DEFAULT_TIMEOUT_SECONDS,
        show_default=True,
        envvar="RECONCILER_HAPROXY_TIMEOUT",
        metavar="SECONDS",
        help="How long HAProxy may be silent in the middle of an exchange.",
    ),
    _common(
        "--haproxy-ca",
        type=click.Path(path_type=Path),
        envvar="RECONCILER_HAPROXY_CA",
        help="Who signed the certificates of HAProxies by tls://: a PEM file.  [default: "
        "whom the system trusts]",
    ),
    _common(
        "--haproxy-cert",
        type=click.Path(path_type=Path),
        envvar="RECONCILER_HAPROXY_CERT",
        help="Our own certificate for HAProxies by tls://, with its key, in one PEM file.",
    ),
    _common(
        "--haproxy-name",
        envvar="RECONCILER_HAPROXY_NAME",
        metavar="NAME",
        help="The name in the certificates of HAProxies by tls://.  [default: the host in "
        "each address]",
    ),
    _common(
        "--docker",
        envvar="RECONCILER_DOCKER",
        metavar="URL",
        help="The Docker engine.  [default: DOCKER_HOST, else the usual socket]",
    ),
    _common(
        "--swarm",
        type=click.Choice(["auto", "on", "off"]),
        default="auto",
        show_default=True,
        envvar="RECONCILER_SWARM",
        help="Follow the tasks of the engine's Swarm, on all its nodes: auto does where the "
        "engine is a manager, on insists that it is one, off takes this engine's own "
        "containers alone.",
    ),
    _common(
        "--project",
        "projects",
        multiple=True,
        envvar="RECONCILER_PROJECT",
        metavar="NAME",
        help="A Compose project or stack whose service names count as backend names. Repeat for "
        "several.  [default: the reconciler's own project if it runs in one, else all]",
    ),
    _common(
        "--network",
        envvar="RECONCILER_NETWORK",
        metavar="NAME",
        help="The network whose addresses HAProxy dials.  [default: the one network a "
        "container shares with the reconciler, or its only one]",
    ),
    _common(
        "--slot-prefix",
        default="slot",
        show_default=True,
        envvar="RECONCILER_SLOT_PREFIX",
        metavar="TEXT",
        help="Servers named so, plus a number, are slots. Others are never touched.",
    ),
    _common(
        "--backend-port",
        "backend_ports",
        type=BackendPort(),
        multiple=True,
        envvar="RECONCILER_BACKEND_PORT",
        help="The port of a backend's containers that tell none. Repeat for several.",
    ),
    _common(
        "--base-cfg",
        type=CfgPath(path_type=Path),
        multiple=True,
        envvar="RECONCILER_BASE_CFG",
        help="HAProxy's configuration, only read: it tells at once whether a check is a plain "
        "connect, which newcomers need not wait for, and a backend's default port where no "
        "free slot does. A file, or a folder of *.cfg files; repeat as HAProxy's -f, in the "
        "same order.",
    ),
    _common(
        "--drain-timeout",
        "drain_seconds",
        type=click.FloatRange(min=0, max=MAX_DRAIN_SECONDS),
        default=DRAIN_SECONDS,
        show_default=True,
        envvar="RECONCILER_DRAIN_TIMEOUT",
        metavar="SECONDS",
        help="How long the slot of a container that is out of rotation is kept for its "
        "open sessions while another waits for a slot. Label haproxy.drain comes first.",
    ),
    _common(
        "--max-release",
        type=click.FloatRange(min=0, max=100),
        default=100 * MAX_RELEASE,
        show_default=True,
        envvar="RECONCILER_MAX_RELEASE",
        metavar="PERCENT",
        help="How much of a backend's ready slots may be released whose containers run on, "
        "where only a change on the reconciler's own side explains it: other options, its own "
        "networks, a reading. The rest keep theirs; 100 sets no limit.",
    ),
    _common(
        "--trust-healthcheck",
        "trusts_healthcheck",
        is_flag=True,
        envvar="RECONCILER_TRUST_HEALTHCHECK",
        help="Let a container that Docker calls healthy in at once, before HAProxy's own check "
        "has passed.",
    ),
    _common(
        "--verbose",
        "-v",
        is_flag=True,
        envvar="RECONCILER_VERBOSE",
        help="Say on standard error what was asked of Docker and of each HAProxy, and how "
        "long it took. For run: as --log-level debug.",
    ),
)

RUN_OPTIONS = (
    _daemon(
        "--resync",
        "resync_seconds",
        type=click.FloatRange(min=1, max=86400),
        default=30.0,
        show_default=True,
        envvar="RECONCILER_RESYNC",
        metavar="SECONDS",
        help="How often everything is read again in case an event was missed.",
    ),
    _daemon(
        "--listen",
        type=Listen(),
        default=DEFAULT_LISTEN,
        show_default=True,
        envvar="RECONCILER_LISTEN",
        help="Where the daemon serves its page, /metrics, /healthz, /readyz and /api, or off; "
        "events and check ask there.",
    ),
    _daemon(
        "--allow-host",
        "allowed_hosts",
        multiple=True,
        envvar="RECONCILER_ALLOW_HOST",
        metavar="NAME",
        help="A host name with a dot by which the page may be asked for. Repeat for "
        "several.  [default: addresses and names without a dot only]",
    ),
    _daemon(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        envvar="RECONCILER_LOG_FORMAT",
        help="How log lines look.",
    ),
    _daemon(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        default="info",
        show_default=True,
        envvar="RECONCILER_LOG_LEVEL",
        help="The least severe log line to print.",
    ),
)
"""Options that only the daemon uses. The other commands accept them, so that one
environment and one file serve all."""


def with_settings(command: Command) -> Command:
    """Give a command all options, and pass them to it as one ``settings``."""

    @functools.wraps(command)
    def collected(**arguments: Any) -> object:  # noqa: ANN401 - click's values
        is_verbose = arguments.pop("verbose")
        settings = settings_from(arguments)
        if is_verbose and click.get_current_context().info_name == "run":
            settings = dataclasses.replace(settings, log_level="debug")
        elif is_verbose:
            show_questions()
        own = {k: v for k, v in arguments.items() if k not in _SETTINGS}
        return command(settings=settings, **own)

    for option in reversed((*_OPTIONS, *RUN_OPTIONS)):
        collected = option(collected)
    return collected  # type: ignore[return-value] # wraps keeps the signature's spirit


def settings_from(arguments: Mapping[str, Any]) -> Settings:
    """Return the settings among a command's arguments, by their names."""
    chosen = {k: v for k, v in arguments.items() if k in _SETTINGS}
    chosen["backend_ports"] = dict(chosen.get("backend_ports") or ())
    return Settings(**chosen)


_SETTINGS = frozenset(Settings.__dataclass_fields__)
