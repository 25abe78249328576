"""What mkdocs needs to know of this repository; a hook, named in mkdocs.yml.

The pages link to files outside docs/, by paths that are right where the repository is
browsed: ../haproxy/base.cfg. The site has only what lies in docs/. So each such file is
brought into it below project/ (Markdown as a page, any other text as a page that shows it),
and the links are turned there. A link that leads nowhere stays as it is: mkdocs warns.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page


ROOT = Path(__file__).resolve().parent.parent
DOCS = "docs/"
OUTSIDE = "project/"

_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#|/)([^)\s#]+)(#[^)\s]*)?(?=\))")
_FENCE = re.compile(r"^ *(```+)", re.MULTILINE)
_LANGUAGES = {".json": "json", ".py": "python", ".yaml": "yaml", ".yml": "yaml"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Write out ``FOLDER/*`` in the navigation."""
    config.nav = _written_out(config.nav)
    return config


def _written_out(nav: Any) -> Any:  # noqa: ANN401 - YAML
    if isinstance(nav, dict):
        return {title: _written_out(below) for title, below in nav.items()}
    if not isinstance(nav, list):
        return nav
    return [one for entry in nav for one in _entries(entry)]


def _entries(entry: Any) -> list[Any]:  # noqa: ANN401 - YAML
    if not (isinstance(entry, str) and entry.endswith("/*")):
        return [_written_out(entry)]
    found = sorted((ROOT / DOCS / entry[:-2]).glob("*.md"))
    pages = [page.relative_to(ROOT / DOCS).as_posix() for page in found]
    return [page for page in pages if not page.endswith("/README.md")]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what pages and the navigation name outside docs/, and what that names in turn."""
    pages = [file.src_uri for file in files.documentation_pages()]
    waiting = [*_outside_in_nav(config.nav), *pages]
    while waiting:
        page = waiting.pop()
        if not (page in pages or files.get_file_from_path(page)):
            if not _source(page).is_file():
                continue
            files.append(_file(page, config))
        if _source(page).suffix == ".md":
            waiting += _outside_in_page(page)
    return files


def _outside_in_nav(nav: Any) -> Iterator[str]:  # noqa: ANN401 - YAML
    if isinstance(nav, str):
        yield from [nav] if nav.startswith(OUTSIDE) else []
    else:
        for below in nav.values() if isinstance(nav, dict) else nav:
            yield from _outside_in_nav(below)


def _outside_in_page(page: str) -> Iterator[str]:
    for part in _prose(_source(page).read_text(encoding="utf-8")):
        for link in _LINK.finditer(part):
            there = _page_of(page, link[1])
            if there is not None and there.startswith(OUTSIDE):
                yield there


def _file(page: str, config: MkDocsConfig) -> File:
    source = _source(page)
    if source.suffix == ".md":
        return File.generated(config, page, abs_src_path=str(source))
    language = _LANGUAGES.get(source.suffix, "text")
    text = source.read_text(encoding="utf-8").rstrip()
    return File.generated(
        config,
        page,
        content=f"# {source.relative_to(ROOT)}\n\n~~~~{language}\n{text}\n~~~~\n",
        inclusion=InclusionLevel.NOT_IN_NAV,
    )


def on_page_markdown(
    markdown: str, *, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Turn links that leave docs/, or come from outside, to where their file is here."""
    del config, files
    uri = page.file.src_uri
    if uri.startswith(OUTSIDE) and _source(uri).suffix != ".md":
        return markdown

    def turned(link: re.Match[str]) -> str:
        there = _page_of(uri, link[1])
        if there is None:
            return link[0]
        return posixpath.relpath(there, posixpath.dirname(uri)) + (link[2] or "")

    return "".join(
        _LINK.sub(turned, part) if index % 2 == 0 else part
        for index, part in enumerate(_parts(markdown))
    )


def _prose(markdown: str) -> list[str]:
    return _parts(markdown)[::2]


def _parts(markdown: str) -> list[str]:
    """Return text and fenced blocks in turn; together they are the whole."""
    parts, start, fence = [], 0, ""
    for found in _FENCE.finditer(markdown):
        if not fence:
            fence, end = found[1], found.start()
        elif found[1] == fence:
            fence, end = "", found.end()
        else:
            continue
        parts.append(markdown[start:end])
        start = end
    return [*parts, markdown[start:]]


def _source(page: str) -> Path:
    """Return the file that a page of the site is made of."""
    if not page.startswith(OUTSIDE):
        return ROOT / DOCS / page
    path = ROOT / page.removeprefix(OUTSIDE)
    return path if path.exists() else path.with_suffix("")


def _page_of(page: str, link: str) -> str | None:
    """Return which page of the site a page's link means, None where there is no file."""
    there = (_source(page).parent / link).resolve()
    if there.is_dir():
        there /= "README.md"
    if not (there.is_file() and there.is_relative_to(ROOT)):
        return None
    path = there.relative_to(ROOT).as_posix()
    if path.startswith(DOCS):
        return path.removeprefix(DOCS)
    return OUTSIDE + (path if there.suffix == ".md" else f"{path}.md")
