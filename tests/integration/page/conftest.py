"""The page in a real browser, from the real daemon, between a real HAProxy and a scripted engine."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright
from tests.scripted_engine import ScriptedEngine
from tests.support.browser import WAIT_MS, Watched, launched, painted, shown_rows
from tests.support.daemon import Daemon
from tests.support.haproxy_process import HaproxyProcess, haproxy_process


WEB = {
    "com.docker.compose.project": "demo",
    "com.docker.compose.service": "web",
    "com.docker.compose.container-number": "1",
}

CONFIG = """
global
    stats socket "${{HAPROXY_SOCKET}}" level admin
defaults
    mode http
    retries 0
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend all
    bind "${{HAPROXY_HTTP_BIND}}"
    default_backend web
backend web
    server-template slot 1-{slots} 127.255.255.1:8000 disabled
"""


@dataclass
class Scene:
    """A daemon with all that is around it, and a page that shows it."""

    engine: ScriptedEngine
    haproxy: HaproxyProcess
    daemon: Daemon
    page: Page
    watched: Watched

    async def open(self) -> None:
        """Load the page, and return once it shows the whole map."""
        await self.page.goto(f"http://127.0.0.1:{self.daemon.port}/")
        await painted(self.page)

    async def until(self, script: str, argument: object = None) -> None:
        """Return once an expression, or a function of the argument, is true in the page."""
        # The page's own policy forbids to evaluate text, but not to call a function.
        script = script if "=>" in script else f"() => {script}"
        await self.page.wait_for_function(
            script, arg=argument, timeout=WAIT_MS, polling=10
        )

    async def until_states(self, states: dict[str, str]) -> None:
        """Return once exactly these slots of web are shown, in these states."""
        await self.until(
            """wanted => {
              const rows = [...document.querySelectorAll(".backend tbody tr:not([hidden])")];
              const shown = rows.map(tr => [tr.querySelector(".slot").textContent, tr.dataset.state]);
              return JSON.stringify(shown.sort()) === wanted;
            }""",
            _json(sorted(states.items())),
        )

    async def rows(self) -> dict[str, dict[str, Any]]:
        """Return the slots of web that are shown."""
        return await shown_rows(self.page)


def _json(pairs: list[tuple[str, str]]) -> str:
    inner = ",".join(f'["{name}","{state}"]' for name, state in pairs)
    return f"[{inner}]"


Stage = Callable[..., Any]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for all tests of the page."""
    async with async_playwright() as playwright:
        started = await launched(playwright)
        yield started
        await started.close()


@pytest.fixture
def stage(browser: Browser) -> Stage:
    """Return what builds a scene for the length of a block."""

    @asynccontextmanager
    async def built(
        *,
        slots: int = 8,
        config: str = CONFIG,
        **context: Any,  # noqa: ANN401 - Playwright's
    ) -> AsyncIterator[Scene]:
        folder = Path(tempfile.mkdtemp(prefix="engine-"))
        async with AsyncExitStack() as stack:
            stack.callback(shutil.rmtree, folder)
            haproxy = stack.enter_context(
                haproxy_process("3.0", config=config.format(slots=slots))
            )
            engine = await stack.enter_async_context(
                ScriptedEngine(folder / "docker.sock")
            )
            daemon = await stack.enter_async_context(
                Daemon(haproxy=[haproxy.url], docker=engine.url)
            )
            opened = await browser.new_context(reduced_motion="reduce", **context)
            stack.push_async_callback(opened.close)
            page = await opened.new_page()
            await daemon.wait_ready()
            yield Scene(engine, haproxy, daemon, page, Watched(page))

    return built
