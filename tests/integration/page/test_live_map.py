"""What the page shows while the map changes, and while what it stands on goes away."""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.integration.page.conftest import WEB, Scene, Stage
from tests.support.browser import painted
from tests.support.daemon import run_cli


pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

HOSTILE = '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script>\'"&'


async def test_a_scale_up_is_seen_within_a_second_without_a_reload(
    stage: Stage,
) -> None:
    """The rows of new containers appear on the page that is open; then drain, then go."""
    async with stage() as scene:
        await scene.open()
        await scene.page.evaluate("window.sameDocument = true")
        began = time.monotonic()
        scene.engine.run_many(3, labels=WEB)
        await scene.until_states(dict.fromkeys(["slot1", "slot2", "slot3"], "ready"))
        assert time.monotonic() - began < 1.0
        found = {row["container"] for row in (await scene.rows()).values()}
        assert found == {"web-1", "web-2", "web-3"}

        homes = {row["container"]: slot for slot, row in (await scene.rows()).items()}
        scene.engine.signal("web-2")
        await scene.until_states(
            {**dict.fromkeys(homes.values(), "ready"), homes["web-2"]: "drain"}
        )
        scene.engine.die("web-2")
        del homes["web-2"]
        await scene.until_states(dict.fromkeys(homes.values(), "ready"))

        assert await scene.page.evaluate("window.sameDocument")
        entries = await scene.page.locator("#timeline li").all_inner_texts()
        assert "released web-2" in entries[0]
        assert "drained web-2" in entries[1]
        assert "ms after its event" in entries[1]
        assert scene.watched.complaints == []


@pytest.mark.parametrize("file", ["main.js", "rows.js", "page.css"])
async def test_a_file_that_cannot_be_had_is_asked_for_again(
    stage: Stage, file: str
) -> None:
    """A browser gives up what it connects for when a container changes the network."""
    async with stage() as scene:
        scene.engine.run("web-1", labels=WEB)
        address = f"**/page/{file}"
        await scene.page.route(
            address, lambda one: one.abort("internetdisconnected"), times=2
        )
        await scene.open()
        await scene.until(
            "getComputedStyle(document.querySelector('.columns')).display === 'grid'"
        )
        await scene.until_states({"slot1": "ready"})
        asked = [one for one in scene.watched.requests if one.endswith(file)]
        assert len(asked) >= 3


async def test_who_has_no_slot_is_told_with_the_reason(stage: Stage) -> None:
    """The list, the backend's badge and the title count them; all go with the need."""
    async with stage(slots=1) as scene:
        await scene.open()
        first, second = scene.engine.run_many(2, labels=WEB)
        await scene.until("document.title === '(1) Slot map'")
        await scene.page.locator("#unplaced").wait_for()
        told = await scene.page.locator("#unplaced").inner_text()
        assert "all 1 slots of backend web are taken" in told
        assert await scene.page.locator(".badge").inner_text() == "1 without a slot"

        shown = (await scene.rows())["slot1"]["container"]
        scene.engine.die(first if shown == first.name else second)
        await scene.until("document.title === 'Slot map'")
        await scene.page.locator("#unplaced").wait_for(state="hidden")


async def test_a_hold_by_hand_is_marked(stage: Stage) -> None:
    """An operator's drain is shown as held, in the row and in the details."""
    async with stage() as scene:
        scene.engine.run("web-1", labels=WEB)
        await scene.open()
        await scene.until_states({"slot1": "ready"})
        done = await run_cli("drain", "web/slot1", "--haproxy", scene.haproxy.url)
        assert done.code == 0, done.stderr
        scene.haproxy.raw("set server web/slot1 weight 1")
        scene.engine.run("web-2", labels=WEB)  # its pass reads the table again
        await scene.until(
            "() => [...document.querySelectorAll('.state')]"
            ".some(one => one.textContent === 'drain (held)')"
        )


async def test_haproxy_goes_and_comes_back(stage: Stage) -> None:
    """A banner says so while it is away; afterwards the map is whole again."""
    async with stage() as scene:
        scene.engine.run_many(2, labels=WEB)
        await scene.open()
        both = {"slot1": "ready", "slot2": "ready"}
        await scene.until_states(both)
        scene.haproxy.kill()
        banner = scene.page.get_by_role("alert")
        await banner.wait_for()
        assert "does not answer" in await banner.inner_text()
        assert await scene.page.title() == "(1) Slot map"
        assert "not reached" in await scene.page.locator("#peers").inner_text()

        scene.haproxy.start()
        await banner.wait_for(state="detached")
        await scene.until_states(both)
        assert await scene.page.title() == "Slot map"


async def test_the_daemon_restarts(stage: Stage) -> None:
    """The page says that it is not live, connects again, and shows what came meanwhile."""
    async with stage() as scene:
        scene.engine.run("web-1", labels=WEB)
        await scene.open()
        await scene.until_states({"slot1": "ready"})
        await scene.daemon.kill()
        await scene.until("document.documentElement.dataset.live === 'lost'")
        told = await scene.page.locator("#live").inner_text()
        assert "connection lost" in told
        assert await scene.page.title() == "Slot map (not live)"

        scene.engine.run("web-2", labels=WEB)
        await scene.daemon.start()
        await scene.until_states({"slot1": "ready", "slot2": "ready"})
        await painted(scene.page)
        assert await scene.page.title() == "Slot map"


async def test_docker_goes_and_comes_back(stage: Stage) -> None:
    """A banner says that the map stays as it is, and why."""
    async with stage() as scene:
        scene.engine.run("web-1", labels=WEB)
        await scene.open()
        await scene.engine.close()
        banner = scene.page.get_by_role("alert")
        await banner.wait_for()
        assert "Docker is not followed" in await banner.inner_text()
        await scene.engine.start()
        await banner.wait_for(state="detached")
        await scene.until_states({"slot1": "ready"})


async def test_hostile_names_are_only_text(stage: Stage) -> None:
    """A name or a label that is markup is shown as it stands, everywhere, and does nothing."""
    labels = {"haproxy.port": HOSTILE, **WEB}
    async with stage() as scene:
        await scene.open()
        scene.engine.run(HOSTILE, labels={**WEB, "com.docker.compose.project": HOSTILE})
        scene.engine.run(f"bad {HOSTILE}", labels=labels)
        await scene.until_states({"slot1": "ready"})
        await scene.page.locator("#unplaced").wait_for()
        await scene.page.get_by_role("button", name="slot1", exact=True).click()
        await scene.page.locator("#details").wait_for()
        rows = await scene.rows()
        details = await scene.page.locator("#details").inner_text()
        timeline = await scene.page.locator("#timeline").inner_text()

        assert rows["slot1"]["container"] == HOSTILE
        assert HOSTILE in details
        assert HOSTILE in timeline
        assert await scene.page.evaluate("window.hurt") is None
        assert await scene.page.locator("img").count() == 1
        assert await scene.page.locator("body script").count() == 0
        assert scene.watched.complaints == []


async def test_nothing_is_asked_of_anybody_else(stage: Stage) -> None:
    """Every request goes to the daemon; the browser finds nothing that its policy forbids."""
    async with stage() as scene:
        scene.engine.run_many(2, labels=WEB)
        await scene.open()
        await scene.page.select_option("#density", "tiles")
        await scene.page.select_option("#theme", "dark")
        await scene.page.get_by_role("button", name="slot1", exact=True).click()
        origin = f"http://127.0.0.1:{scene.daemon.port}/"
        asked = scene.watched.requests

        assert [url for url in asked if not url.startswith(origin)] == []
        assert f"{origin}api/live" in asked
        assert scene.watched.complaints == []


async def test_it_works_below_a_path_of_a_proxy(stage: Stage) -> None:
    """Behind HAProxy itself, at a path, by the lines in the documents."""
    config = (
        'global\n    stats socket "${{HAPROXY_SOCKET}}" level admin\n'
        "defaults\n    mode http\n    timeout connect 1s\n    timeout client 30s\n"
        "    timeout server 30s\n"
        'frontend front\n    bind "${{HAPROXY_HTTP_BIND}}"\n'
        "    http-request redirect code 302 location /slots/ if {{ path /slots }}\n"
        "    use_backend page if {{ path_beg /slots/ }}\n"
        "backend page\n    http-request replace-path /slots/(.*) /\\1\n"
        "    http-request set-header Host localhost\n"
        '    server page "${{HAPROXY_STATS_BIND}}"\n'
        "backend web\n    server-template slot 1-{slots} 127.255.255.1:8000 disabled\n"
    )
    async with stage(config=config) as scene:
        await _serve_at_stats_port(scene)
        scene.engine.run("web-1", labels=WEB)
        await scene.page.goto(f"http://127.0.0.1:{scene.haproxy.http_port}/slots")
        await painted(scene.page)
        await scene.until_states({"slot1": "ready"})

        assert scene.page.url.endswith("/slots/")
        assert scene.watched.complaints == []


async def _serve_at_stats_port(scene: Scene) -> None:
    """Start the daemon anew where this HAProxy's configuration looks for it."""
    await scene.daemon.kill()
    scene.daemon.port = scene.haproxy.stats_port
    await scene.daemon.start()
    await scene.daemon.wait_ready()


async def test_many_pages_are_told_the_same(stage: Stage) -> None:
    """Two pages see one change; each is sent the whole map first."""
    async with stage() as scene:
        other = await scene.page.context.new_page()
        await scene.open()
        await other.goto(scene.page.url)
        await painted(other)
        scene.engine.run("web-1", labels=WEB)
        seen = "() => document.querySelectorAll('.backend tbody tr:not([hidden])').length === 1"
        await asyncio.gather(
            scene.page.wait_for_function(seen), other.wait_for_function(seen)
        )
