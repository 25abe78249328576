"""Pictures of the page, taken from the real daemon between a real HAProxy and a scripted engine.

Containers are addresses of 127.10.0.0/15 on which this process itself answers, and requests
run through HAProxy the while, so the figures on the pictures are HAProxy's own. Called by
scripts/screenshot. With ``--serve`` it takes none, and leaves the page up to look at.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import random
import sys
import tempfile
from pathlib import Path


ROOT = Path(__file__).resolve().parent.parent
# The scripted engine lives with the tests, as a package of the repository's root.
sys.path.insert(0, str(ROOT))

from playwright.async_api import async_playwright  # noqa: E402
from tests.scripted_engine import ScriptedEngine  # noqa: E402
from tests.support.browser import launched, painted  # noqa: E402
from tests.support.daemon import Daemon, run_cli  # noqa: E402
from tests.support.haproxy_process import HaproxyProcess, haproxy_process  # noqa: E402


IMAGES = ROOT / "docs" / "images"
SIZE = {"width": 1360, "height": 960}
BACKENDS = {"shop": 32, "api": 16, "web": 4}
CONTAINERS = {"shop": 9, "api": 5, "web": 5}
"""One more of web than it has slots for."""

ANSWER_SECONDS = (0.02, 0.25)
CLIENTS = 12

CONFIG = """
global
    stats socket "${HAPROXY_SOCKET}" level admin
defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 10s
    timeout check 1s
    default-server check inter 300ms fastinter 100ms rise 1 fall 2
frontend all
    bind "${HAPROXY_HTTP_BIND}"
    use_backend %[path,field(2,/)]
""" + "".join(
    f"backend {name}\n    server-template slot 1-{slots} 127.255.255.1:8000 disabled\n"
    for name, slots in BACKENDS.items()
)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be a container: answer each request after a while."""
    # Cancelled at the end: asyncio would report each of these as an error.
    with contextlib.suppress(
        OSError, asyncio.IncompleteReadError, asyncio.CancelledError
    ):
        while await reader.readuntil(b"\r\n\r\n"):
            await asyncio.sleep(random.uniform(*ANSWER_SECONDS))  # noqa: S311
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
            await writer.drain()
    writer.close()


async def _ask(port: int, backends: itertools.cycle[str]) -> None:
    """Be a client, for ever."""
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            while True:
                writer.write(
                    f"GET /{next(backends)}/ HTTP/1.1\r\nHost: a\r\n\r\n".encode()
                )
                head = await reader.readuntil(b"\r\n\r\n")
                if b" 200 " not in head:
                    break
                await reader.readexactly(3)
            writer.close()


async def _populate(engine: ScriptedEngine) -> list[asyncio.Server]:
    """Run the containers, and answer for all but one of them."""
    servers: list[asyncio.Server] = []
    for service, count in CONTAINERS.items():
        labels = {
            "com.docker.compose.project": "store",
            "com.docker.compose.service": service,
        }
        started = engine.run_many(count, prefix=f"store-{service}", labels=labels)
        servers += [
            await asyncio.start_server(_answer, one.address, 8000)
            for one in started
            if one.name != "store-api-4"
        ]
    return servers


async def _stage(
    engine: ScriptedEngine, haproxy: HaproxyProcess, daemon: Daemon
) -> list[asyncio.Server]:
    """Bring about what the pictures show: a hold, a drain, a slot that is down."""
    servers = await _populate(engine)
    await daemon.wait_log("has no slot")
    engine.signal("store-shop-7")
    await daemon.wait_log("drained store-shop-7")
    done = await run_cli(
        *("drain", "store-api-2", "--haproxy", haproxy.url, "--docker", engine.url)
    )
    if done.code:
        sys.exit(f"page_picture: could not drain by hand: {done.stderr}")
    return servers


async def _take(url: str) -> None:
    IMAGES.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await launched(playwright)
        for theme in ("light", "dark"):
            page = await browser.new_page(viewport=SIZE, color_scheme=theme)
            await page.goto(url)
            await painted(page)
            await page.locator("tr[data-state=down]").wait_for()
            await page.locator("tr[data-state=drain]").nth(1).wait_for()
            await page.wait_for_timeout(3000)  # a flash is over, the figures are steady
            await page.screenshot(path=IMAGES / f"page-{theme}.png")
        await browser.close()


async def _run(*, serves: bool) -> None:
    folder = Path(tempfile.mkdtemp(prefix="picture-"))
    with haproxy_process("3.0", config=CONFIG) as haproxy:
        async with (
            ScriptedEngine(folder / "docker.sock") as engine,
            Daemon(
                haproxy=[haproxy.url],
                docker=engine.url,
                arguments=["--resync", "2"],
            ) as daemon,
        ):
            await daemon.wait_ready()
            servers = await _stage(engine, haproxy, daemon)
            backends = itertools.cycle(["shop", "shop", "api", "shop", "web"])
            asking = [
                asyncio.create_task(_ask(haproxy.http_port, backends))
                for _ in range(CLIENTS)
            ]
            url = f"http://127.0.0.1:{daemon.port}/"
            if serves:
                print(f"{url} until you end this", flush=True)
                await asyncio.Event().wait()
            await _take(url)
            for one in (*asking, *servers):
                one.cancel() if isinstance(one, asyncio.Task) else one.close()


def main() -> None:
    """Take the pictures, or serve the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help="only leave it up")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(serves=parser.parse_args().serve))


if __name__ == "__main__":
    main()
