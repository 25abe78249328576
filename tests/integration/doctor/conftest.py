"""A scripted engine, and a HAProxy 3.0 with the shipped configuration."""

from __future__ import annotations

from tests.integration.daemon.conftest import engine, haproxy3


__all__ = ["engine", "haproxy3"]
