"""Who is compared: three ways for HAProxy to follow the same Compose service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.engine import ROOT, Engine, run
from tests.support.stack import COMPOSE_FILE
from traffic.stacks import Project
from zero_loss.dns_config import ConfigError, with_dns, with_log


HERE = Path(__file__).parent
BASE_CFG = ROOT / "haproxy" / "base.cfg"

_OWN_IMAGE_SECONDS = 600

_CONFIG_OVERRIDE = """
services:
  haproxy:
    volumes: ["{config}:/etc/haproxy/base.cfg:ro"{more}]
"""
_LOG_FOLDER = "/run/watch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way, and what has to be known to run and to watch it."""

    name: str
    title: str
    services: tuple[str, ...]
    file: Path = COMPOSE_FILE
    override: Callable[[Engine, Path, Path | None], str | None]
    """Prepares what the project needs; returns a Compose file to lay over it.

    Given an engine, a folder for files, and where HAProxy shall log as well."""
    port: int = 8080
    """Where its HAProxy listens, in its container."""
    backend: str = "web"
    """The backend's name on HAProxy's statistics page."""
    visitors: int = 0
    """So many clients keep a cookie; 0: none does."""
    servers: str = "slot"
    """How names of the servers that stand for containers begin there."""

    @property
    def has_reconciler(self) -> bool:
        """Whether there is a daemon of ours to kill."""
        return "reconciler" in self.services

    def project(
        self, engine: Engine, folder: Path, *, log: Path | None = None
    ) -> Project:
        """Return its Compose project, not yet started.

        ``log`` is a datagram socket, alone in its folder: there HAProxy logs what becomes of
        its servers, also; not where a contender writes its configuration itself.
        """
        return Project(
            engine,
            folder,
            self.services,
            purpose=self.name,
            override=self.override(engine, folder, log),
            file=self.file,
        )


def _slots(_engine: Engine, folder: Path, log: Path | None) -> str | None:
    """Our own stack is taken as it is, but for a log where one is wanted."""
    return None if log is None else _mounted(_base(), folder, log)


STICKY_LINES = """
    cookie SRV insert indirect nocache dynamic
    dynamic-cookie-key secret
"""


def _sticky(_engine: Engine, folder: Path, log: Path | None) -> str:
    """Our own stack, with the lines of docs/adopt.md for clients that stick."""
    head = "backend web from http\n"
    config = _base()
    if config.count(head) != 1:
        raise ConfigError(f"base.cfg has no line {head!r}")
    return _mounted(config.replace(head, head + STICKY_LINES), folder, log)


def _dns(_engine: Engine, folder: Path, log: Path | None) -> str:
    return _mounted(with_dns(_base()), folder, log)


def _base() -> str:
    return BASE_CFG.read_text(encoding="utf-8")


def _mounted(config: str, folder: Path, log: Path | None) -> str:
    """Write a configuration; return what puts it, and the folder of a log, into HAProxy."""
    if log is not None:
        config = with_log(config, f"{_LOG_FOLDER}/{log.name}")
    path = folder / "haproxy.cfg"
    path.write_text(config, encoding="utf-8")
    path.chmod(0o644)
    more = "" if log is None else f', "{log.parent}:{_LOG_FOLDER}"'
    return _CONFIG_OVERRIDE.format(config=path, more=more)


def _easyhaproxy(engine: Engine, _folder: Path, _log: Path | None) -> None:
    run(
        [str(HERE / "build-easyhaproxy")],
        environment=engine.environment,
        timeout_seconds=_OWN_IMAGE_SECONDS,
    )


CONTENDERS = {
    one.name: one
    for one in (
        Contender(
            name="slots",
            title="slots: HAProxy and the reconciler",
            services=("haproxy", "reconciler", "web"),
            override=_slots,
        ),
        Contender(
            name="sticky",
            title="sticky: the same, and every client keeps a cookie",
            services=("haproxy", "reconciler", "web"),
            override=_sticky,
            visitors=100,
        ),
        Contender(
            name="dns",
            title="dns: HAProxy's server-template and resolvers",
            services=("haproxy", "web"),
            override=_dns,
        ),
        Contender(
            name="easyhaproxy",
            title="easyhaproxy: a new configuration and a reload",
            services=("haproxy", "web"),
            file=HERE / "easyhaproxy" / "compose.yaml",
            override=_easyhaproxy,
            port=80,
            backend="srv_localhost_80",
            servers="srv-",
        ),
    )
}
