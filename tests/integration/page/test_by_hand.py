"""The page by keyboard, for a screen reader, on a phone, in the dark."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
from playwright.async_api import Page
from tests.integration.page.conftest import WEB, Stage
from tests.support.browser import painted


pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
PHONE = {"width": 360, "height": 740}


async def violations(page: Page) -> list[str]:
    """Return what axe-core finds wrong, by rule and element."""
    found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {json.dumps(node['target'])} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


async def in_both_themes(page: Page) -> list[str]:
    """Return what is wrong in the light, and in the dark."""
    found = []
    for theme in ("light", "dark"):
        await page.select_option("#theme", theme)
        found += [f"{theme}: {one}" for one in await violations(page)]
    return found


async def test_axe_finds_nothing(stage: Stage) -> None:
    """No violation: with every state, the details, a banner, the list, and as tiles."""
    async with stage(slots=4) as scene:
        await scene.page.add_init_script(AXE)
        scene.engine.run_many(3, labels=WEB)
        scene.engine.run("bad", labels={**WEB, "haproxy.port": "none"})
        await scene.open()
        await scene.page.locator("#unplaced").wait_for()
        scene.engine.signal((await scene.rows())["slot2"]["container"])
        scene.haproxy.raw("set server web/slot1 state maint")
        await scene.page.locator("tr[data-state=drain]").wait_for()
        await scene.page.locator("#states [data-state=free]").click()
        assert await in_both_themes(scene.page) == []

        await scene.page.get_by_role("button", name="slot2", exact=True).click()
        await scene.engine.close()
        await scene.page.get_by_role("alert").wait_for()
        assert await in_both_themes(scene.page) == []

        await scene.page.select_option("#density", "tiles")
        assert await in_both_themes(scene.page) == []


async def test_everything_by_keyboard(stage: Stage) -> None:
    """Skip, filter, walk through slots, open one, and be back where one was."""
    async with stage(slots=20) as scene:
        scene.engine.run_many(12, labels=WEB)
        await scene.open()
        await scene.until(
            "document.querySelectorAll('.backend tbody tr:not([hidden])').length === 12"
        )
        page = scene.page
        focused = "document.activeElement.textContent || document.activeElement.id"
        await page.keyboard.press("Tab")
        assert await page.evaluate(focused) == "Skip to the slot map"
        await page.keyboard.press("Enter")
        await page.keyboard.press("/")
        assert await page.evaluate("document.activeElement.id") == "filter"
        await page.keyboard.type("web-1 ready")
        # web-1, web-10, web-11, web-12
        await scene.until(
            "document.querySelectorAll('.backend tbody tr:not([hidden])').length === 4"
        )
        for _ in range(12):
            await page.keyboard.press("Tab")
            if (await page.evaluate(focused)).startswith("slot"):
                break
        first = await page.evaluate(focused)
        await page.keyboard.press("ArrowDown")
        second = await page.evaluate(focused)
        assert second.startswith("slot")
        assert second != first
        await page.keyboard.press("Enter")
        assert await page.evaluate(focused) == f"web/{second}"
        await page.keyboard.press("Escape")
        assert await page.locator("#details").is_hidden()
        assert await page.evaluate(focused) == second


async def test_changes_are_announced_once_in_a_while(stage: Stage) -> None:
    """Many changes at once are one short message for those who listen."""
    async with stage(slots=20) as scene:
        await scene.open()
        scene.engine.run_many(12, labels=WEB)
        await scene.until("document.getElementById('said').textContent !== ''")
        said = await scene.page.locator("#said").inner_text()

        assert said == "12 changes: 12 assigned."


async def test_choices_are_kept(stage: Stage) -> None:
    """Theme and density are as they were chosen, after a reload."""
    async with stage(color_scheme="light") as scene:
        await scene.open()
        await scene.page.select_option("#theme", "dark")
        await scene.page.select_option("#density", "compact")
        await scene.page.reload()
        await painted(scene.page)
        root = "document.documentElement"
        ground = await scene.page.evaluate(f"getComputedStyle({root}).colorScheme")

        assert ground == "dark"
        assert await scene.page.evaluate(f"{root}.dataset.density") == "compact"
        assert await scene.page.input_value("#theme") == "dark"


async def test_states_can_be_left_out(stage: Stage) -> None:
    """Free slots are not shown until they are asked for; each state can be hidden."""
    async with stage(slots=5) as scene:
        scene.engine.run_many(2, labels=WEB)
        await scene.open()
        used = {"slot1": "ready", "slot2": "ready"}
        await scene.until_states(used)
        note = scene.page.locator(".hidden-note")
        assert await note.inner_text() == "3 slots not shown"
        await scene.page.locator("#states [data-state=free]").click()
        free = dict.fromkeys(["slot3", "slot4", "slot5"], "free")
        await scene.until_states({**used, **free})
        await scene.page.locator("#states [data-state=ready]").click()
        await scene.until_states(free)


async def test_a_phone_needs_no_sideways_scrolling(stage: Stage) -> None:
    """At 360 pixels nothing is wider than the screen, even with endless names."""
    async with stage(slots=2, viewport=PHONE) as scene:
        for number in range(3):
            scene.engine.run(f"web-{number}-" + "endless" * 30, labels=WEB)
        await scene.open()
        await scene.page.locator("#unplaced").wait_for()
        await scene.page.get_by_role("button", name="slot1", exact=True).click()
        widths = {}
        for density in ("normal", "compact", "tiles"):
            await scene.page.select_option("#density", density)
            width = await scene.page.evaluate("document.scrollingElement.scrollWidth")
            widths[density] = width

        assert set(widths.values()) == {PHONE["width"]}, widths
