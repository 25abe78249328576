"""Debian's Chromium, driven by Playwright, and what the tests of the page ask of it."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

from playwright.async_api import (
    Browser,
    Page,
    Playwright,
    TimeoutError as PlaywrightTimeoutError,
)
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
NETWORK_CHANGED = "net::ERR_NETWORK_CHANGED"


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
    try:
        await page.wait_for_selector(
            "html[data-painted=true][data-live=live]", timeout=WAIT_MS
        )
    except PlaywrightTimeoutError as error:
        message = f"not painted: {await _condition(page)}"
        raise AssertionError(message) from error


async def _condition(page: Page) -> str:
    """Return where a page stands: what it loaded, whether it is shown, has frames, is live."""
    return json.dumps(
        await page.evaluate(
            """async () => ({
              ...document.documentElement.dataset,
              readyState: document.readyState,
              visibility: document.visibilityState,
              hasFrames: await Promise.race([
                new Promise(done => requestAnimationFrame(() => done(true))),
                new Promise(done => setTimeout(() => done(false), 1000))]),
              live: document.getElementById("live-text")?.textContent,
              nothing: document.getElementById("nothing")?.textContent,
              loaded: performance.getEntriesByType("resource").map(one =>
                [one.name, Math.round(one.startTime), Math.round(one.responseEnd)]),
            })"""
        )
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
        # Containers of other tests come and go: a browser then gives up what it connects for.
        if kind in {"error", "warning"} and NETWORK_CHANGED not in text:
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
