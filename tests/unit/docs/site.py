"""Reading built pages: what they link to, what they load, where one can jump to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit


LOADING = {
    ("audio", "src"),
    ("embed", "src"),
    ("form", "action"),
    ("iframe", "src"),
    ("image", "href"),
    ("img", "src"),
    ("input", "src"),
    ("link", "href"),
    ("object", "data"),
    ("script", "src"),
    ("source", "src"),
    ("track", "src"),
    ("use", "href"),
    ("video", "poster"),
    ("video", "src"),
}
"""Elements and attributes that make a browser fetch something unasked."""

NAMING = {"canonical", "next", "prev"}
"""Relations of a `link` that only name a page."""

_STYLE_URL = re.compile(r"""(?:url\(|@import)\s*["']?([^"')\s]+)""")


class BuiltPage(HTMLParser):
    """One page of the site, read from its file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.links: list[str] = []
        """What a reader may follow."""
        self.loads: list[str] = []
        """What the browser fetches."""
        self.anchors: set[str] = {""}
        self.classes: set[str] = set()
        self._in_style = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in one element."""
        values = {name: value or "" for name, value in attrs}
        self._in_style = tag == "style"
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        self.classes |= set(values.get("class", "").split())
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if not (tag == "link" and NAMING & set(values.get("rel", "").split())):
            self.loads += [v for name, v in values.items() if (tag, name) in LOADING]
        self.loads += [one.split()[0] for one in _candidates(values.get("srcset", ""))]
        self.loads += _STYLE_URL.findall(values.get("style", ""))

    def handle_data(self, data: str) -> None:
        """Take in a style sheet that stands in the page."""
        if self._in_style:
            self.loads += _STYLE_URL.findall(data)


def _candidates(srcset: str) -> list[str]:
    return [one.strip() for one in srcset.split(",") if one.strip()]


def _is_elsewhere(url: str) -> bool:
    """Whether a URL names a host: those of the site are relative."""
    parts = urlsplit(url)
    return bool(parts.netloc) or parts.scheme not in {"", "data"}


class Site:
    """A folder of built pages."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.home = self.root / "index.html"
        # 404.html has no place of its own: its links start at a web server's root.
        self.pages = {
            path: BuiltPage(path)
            for path in sorted(self.root.rglob("*.html"))
            if path.name != "404.html"
        }

    def led_to(self, page: Path) -> set[Path]:
        """Return the files that a page has links to."""
        links = [urlsplit(link) for link in self.pages[page].links]
        return {(page.parent / one.path).resolve() for one in links if not one.netloc}

    def broken(self) -> Iterator[str]:
        """Return each link or load that leads to no file, or to no anchor in it."""
        for path, page in self.pages.items():
            name = path.relative_to(self.root)
            for url in {*page.links, *page.loads}:
                if not _is_elsewhere(url) and not url.startswith("data:"):
                    fault = self._fault(path, url)
                    yield from [f"{name}: {url}: {fault}"] if fault else []

    def _fault(self, page: Path, url: str) -> str:
        parts = urlsplit(url)
        there = (page.parent / parts.path).resolve() if parts.path else page
        if not there.is_file():
            return "no such file"
        known = self.pages.get(there)
        return "no such anchor" if known and parts.fragment not in known.anchors else ""

    def loaded_from_elsewhere(self) -> Iterator[str]:
        """Return what pages and style sheets fetch from a host."""
        loads = {path: page.loads for path, page in self.pages.items()}
        for path in self.root.rglob("*.css"):
            loads[path] = _STYLE_URL.findall(path.read_text(encoding="utf-8"))
        for path, urls in loads.items():
            for url in urls:
                if _is_elsewhere(url):
                    yield f"{path.relative_to(self.root)}: {url}"
