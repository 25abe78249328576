"""The page's files, its headers, and the names it answers to."""

from __future__ import annotations

import re

import pytest
from tests.fakes.loop import looping
from tests.fakes.proxy import FakeProxy
from tests.unit.web.conftest import serving

from reconciler.web.assets import read_assets
from reconciler.web.guard import is_ours


ROUTES = (
    "/",
    "/page/main.js",
    "/page/none.js",
    "/none",
    "/healthz",
    "/metrics",
    "/readyz",
    "/api/slots",
    "/api/events",
    "/api/live",
)


@pytest.mark.parametrize("path", ROUTES)
async def test_every_answer_has_the_strict_headers(path: str) -> None:
    """Files, JSON, streams and errors alike."""
    async with (
        looping(FakeProxy()) as loop,
        serving(loop) as client,
        client.get(path) as answer,
    ):
        policy = answer.headers["Content-Security-Policy"]
        directives = dict(one.split(" ", 1) for one in policy.split("; "))

        assert directives["default-src"] == "'none'"
        for name in ("style-src", "connect-src", "img-src"):
            assert directives[name] == "'self'"
        own, script = directives["script-src"].split(" ")
        assert own == "'self'"
        assert script.startswith("'sha256-")
        for name in ("base-uri", "form-action", "frame-ancestors"):
            assert directives[name] == "'none'"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"


async def test_nothing_can_be_changed() -> None:
    """No route takes anything but GET and HEAD."""
    async with looping(FakeProxy()) as loop, serving(loop) as client:
        for path in ROUTES:
            for method in ("POST", "PUT", "DELETE", "PATCH"):
                async with client.request(method, path) as answer:
                    assert answer.status in {404, 405}


async def test_a_file_that_has_not_changed_is_not_sent_again() -> None:
    """The browser asks each time, so an update is seen at once, and costs nothing else."""
    async with looping(FakeProxy()) as loop, serving(loop) as client:
        async with client.get("/page/main.js") as answer:
            etag = answer.headers["ETag"]
            assert answer.headers["Cache-Control"] == "no-cache"
            assert answer.content_type == "text/javascript"
        known = {"If-None-Match": etag}
        async with client.get("/page/main.js", headers=known) as answer:
            assert answer.status == 304
        async with client.get("/page/page.css", headers=known) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("name", ["..%2F__init__.py", "%2e%2e/__init__.py", "main.py"])
async def test_only_the_pages_files_are_served(name: str) -> None:
    """No way leads out of the folder."""
    async with (
        looping(FakeProxy()) as loop,
        serving(loop) as client,
        client.get(f"/page/{name}") as answer,
    ):
        assert answer.status == 404


def test_the_page_brings_everything_with_it() -> None:
    """No style and one script stand in the page, no address is absolute, no file is missing."""
    assets = read_assets()
    html = assets["index.html"].body.decode()
    named = re.findall(r'(?:src|href)="([^"#]+)"', html)

    assert {name.removeprefix("page/") for name in named} <= assets.keys()
    assert not re.search(r"<style|\son\w+=|\sstyle=", html)
    assert len(re.findall(r"<script(?![^>]*\bsrc=)", html)) == 1
    for name, asset in assets.items():
        text = asset.body.decode()
        found = re.findall(r"https?://[^\s\"']+", text)
        assert set(found) <= {"http://www.w3.org/2000/svg"}, name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|eval\(", text)
        for imported in re.findall(r'from "\./([^"]+)"', text):
            assert imported in assets


@pytest.mark.parametrize(
    ("host", "is_answered"),
    [
        ("localhost:9700", True),
        ("127.0.0.1:9700", True),
        ("[::1]:9700", True),
        ("[::1]", True),
        ("192.168.1.5", True),
        ("reconciler:9700", True),
        ("page.localhost:9700", True),
        ("LB.example.com", True),
        ("lb.example.com.:443", True),
        ("", True),
        ("evil.example:9700", False),
        ("127.0.0.1.evil.example", False),
        ("lb.example.com.evil.example", False),
        ("1.2.3.4.5", False),
    ],
)
def test_which_names_are_ours(host: str, *, is_answered: bool) -> None:
    """Addresses, names without a dot, and what the operator gave; no stranger's name."""
    assert is_ours(host, {"lb.example.com"}) is is_answered


async def test_a_strangers_name_is_told_what_to_do() -> None:
    """The map is not told to it; health and metrics are, for any name."""
    stranger = {"Host": "evil.example"}
    async with looping(FakeProxy()) as loop, serving(loop) as client:
        for path in ("/", "/api/slots", "/api/live", "/api/events", "/page/main.js"):
            async with client.get(path, headers=stranger) as answer:
                assert answer.status == 421
                assert "--allow-host" in await answer.text()
        for path in ("/healthz", "/metrics"):
            async with client.get(path, headers=stranger) as answer:
                assert answer.status == 200


async def test_a_name_that_was_allowed_is_answered() -> None:
    """However it is spelled."""
    async with (
        looping(FakeProxy()) as loop,
        serving(loop, allowed_hosts=["LB.example.com"]) as client,
        client.get("/api/slots", headers={"Host": "lb.example.com:9700"}) as answer,
    ):
        assert answer.status == 200
