"""Who is compared: three ways for HAProxy to follow the same Compose service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.engine import ROOT, Engine, run
from tests.support.stack import COMPOSE_FILE
from traffic.stacks import Project
from zero_loss.dns_config import with_dns


HERE = Path(__file__).parent
BASE_CFG = ROOT / "haproxy" / "base.cfg"

_OWN_IMAGE_SECONDS = 600

_DNS_OVERRIDE = """
services:
  haproxy:
    volumes: ["{config}:/etc/haproxy/base.cfg:ro"]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way, and what has to be known to run and to watch it."""

    name: str
    title: str
    services: tuple[str, ...]
    file: Path = COMPOSE_FILE
    override: Callable[[Engine, Path], str | None]
    """Prepares what the project needs; returns a Compose file to lay over it."""
    port: int = 8080
    """Where its HAProxy listens, in its container."""
    backend: str = "web"
    """The backend's name on HAProxy's statistics page."""
    servers: str = "slot"
    """How names of the servers that stand for containers begin there."""

    @property
    def has_reconciler(self) -> bool:
        """Whether there is a daemon of ours to kill."""
        return "reconciler" in self.services

    def project(self, engine: Engine, folder: Path) -> Project:
        """Return its Compose project, not yet started."""
        return Project(
            engine,
            folder,
            self.services,
            purpose=self.name,
            override=self.override(engine, folder),
            file=self.file,
        )


def _nothing(_engine: Engine, _folder: Path) -> None:
    """Our own stack is taken as it is."""


def _dns(_engine: Engine, folder: Path) -> str:
    config = folder / "dns.cfg"
    config.write_text(with_dns(BASE_CFG.read_text(encoding="utf-8")), encoding="utf-8")
    config.chmod(0o644)
    return _DNS_OVERRIDE.format(config=config)


def _easyhaproxy(engine: Engine, _folder: Path) -> None:
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
            override=_nothing,
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
