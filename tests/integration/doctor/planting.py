"""What the tests of ``check`` share: look, and take what is not ok."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.fakes.leftovers import leftovers_collected
from tests.scripted_engine import ScriptedEngine
from tests.support.haproxy_process import HaproxyProcess

from reconciler.config import Settings
from reconciler.doctor import Code, Finding, Verdict, findings


def settings_for(
    *haproxies: str, engine: ScriptedEngine, base_cfg: Path | None = None
) -> Settings:
    """Return settings that look at these, and at no daemon."""
    files = () if base_cfg is None else (base_cfg,)
    return Settings(haproxy=haproxies, docker=engine.url, base_cfg=files, listen=None)


async def troubles(
    settings: Settings, *, patience_seconds: float = 5.0
) -> list[Finding]:
    """Return every finding that is not ok."""
    with leftovers_collected():
        found = await findings(settings, patience_seconds=patience_seconds)
    return [one for one in found if one.verdict is not Verdict.OK]


def codes(found: list[Finding]) -> set[str]:
    """Return the codes of some findings."""
    return {one.code for one in found}


def the(code: Code, found: list[Finding]) -> Finding:
    """Return the first finding of a kind, once its verdict is that of its code."""
    one = next((one for one in found if one.code == code.text), None)
    assert one is not None, f"no {code.text} among {codes(found)}"
    assert one.verdict is code.verdict
    return one


async def until_troubles(
    settings: Settings, code: Code, *, timeout_seconds: float = 10.0
) -> list[Finding]:
    """Look again until HAProxy's checks have brought a finding of this kind about."""
    async with asyncio.timeout(timeout_seconds):
        while code.text not in codes(found := await troubles(settings)):  # noqa: ASYNC110 - HAProxy tells nobody
            await asyncio.sleep(0.05)
    return found


def runtime(haproxy: HaproxyProcess, *lines: str) -> None:
    """Send setters by no client of ours; each has to be accepted."""
    for line in lines:
        answer = haproxy.raw(line).strip()
        assert not answer or answer.startswith(("IP changed", "port changed")), answer
