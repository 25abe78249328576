"""Debian's Chromium, driven by Playwright, and what the tests of the page ask of it."""

from __future__ import annotations

import os
import shutil
from typing import Any

from playwright.async_api import Browser, Page, Playwright
from tests.support.requirements import require


FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WAIT_MS = 30_000.0


def chromium() -> str:
    """Return where Chromium is; skip (fail under CI) where there is none."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium")
    found = found or shutil.which("chromium-browser")
    require(found, "chromium: scripts/chromium installs it")
    return str(found)


async def launched(playwright: Playwright) -> Browser:
    """Start Chromium, headless."""
    return await playwright.chromium.launch(
        executable_path=chromium(), args=list(FLAGS), headless=True
    )


async def painted(page: Page) -> None:
    """Return once the whole map is on the page, and the page is live."""
    await page.wait_for_selector(
        "html[data-painted=true][data-live=live]", timeout=WAIT_MS
    )


class Watched:
    """What a page complained of, and whom it asked."""

    def __init__(self, page: Page) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda one: self._heard(one.type, one.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda one: self.requests.append(one.url))

    def _heard(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(f"{kind}: {text}")


async def shown_rows(page: Page, backend: str = "web") -> dict[str, dict[str, Any]]:
    """Return the slots of a backend that are shown: state and container by name."""
    found: dict[str, dict[str, Any]] = await page.evaluate(
        """backend => Object.fromEntries(
            [...document.querySelectorAll(".backend")]
              .filter(section => section.querySelector("h2").textContent === backend)
              .flatMap(section => [...section.querySelectorAll("tbody tr:not([hidden])")])
              .map(tr => [tr.querySelector(".slot").textContent, {
                 state: tr.dataset.state,
                 container: tr.querySelector(".container").textContent}]))""",
        backend,
    )
    return found
