"""docs/ as a site: it builds without a warning, holds together and asks no other host."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.docs import pages
from tests.unit.docs.site import Site


SECONDS = 50


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Run what `make docs` runs, into another folder."""
    return subprocess.run(
        [
            sys.executable,
            *("-m", "mkdocs", "build", "--strict"),
            *("--config-file", str(config), "--site-dir", str(site)),
        ],
        cwd=pages.ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site; building it has said nothing but that it builds."""
    folder = tmp_path_factory.mktemp("site")
    done = build(pages.ROOT / "mkdocs.yml", folder)
    said = done.stderr.splitlines()
    if any('not included in the "nav"' in line for line in said):
        pytest.fail(f"name these pages below `nav` in mkdocs.yml:\n{done.stderr}")
    assert [line for line in said if not line.startswith("INFO    -  ")] == []
    assert done.returncode == 0
    return Site(folder)


DOCUMENTS = sorted(pages.DOCS.rglob("*.md"))


@pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda d: str(d.relative_to(pages.DOCS))
)
def test_a_document_is_a_page_that_the_menu_leads_to(
    site: Site, document: Path
) -> None:
    """Each Markdown file below docs/ is in the site, and in its navigation."""
    page = (site.root / document.relative_to(pages.DOCS)).with_suffix(".html")
    if page.stem == "README":
        page = page.with_name("index.html")

    assert page in site.pages
    assert page in site.led_to(site.home), "name it below `nav` in mkdocs.yml"


def test_links_lead_to_a_page_and_a_place_in_it(site: Site) -> None:
    """Whatever a page links to or loads is a file of the site, and its anchor is there."""
    assert list(site.broken()) == []


def test_nothing_is_loaded_from_another_host(site: Site) -> None:
    """No page and no style sheet makes a browser fetch from anywhere else."""
    assert list(site.loaded_from_elsewhere()) == []


def test_no_page_needs_a_script_from_another_host(site: Site) -> None:
    """The theme would fetch a script to draw a diagram: there is none to draw."""
    drawn = [path for path, page in site.pages.items() if "mermaid" in page.classes]

    assert drawn == []


def test_a_page_that_loads_from_elsewhere_would_be_found(tmp_path: Path) -> None:
    """Each way to fetch from another host is seen, and a link to one is none of them."""
    (tmp_path / "index.html").write_text(
        '<a href="https://a.test/">link</a><img src="https://b.test/i.png">'
        '<link rel="stylesheet" href="//c.test/s.css"><script src="http://d.test/s.js">'
        '</script><p style="background: url(https://e.test/i)">text</p>'
        "<style>@import 'https://f.test/s'; a {background: url(https://g.test/i)}</style>"
        '<img srcset="i.png 1x, https://h.test/i 2x"><link rel="canonical" href="https://i.test/">'
    )
    (tmp_path / "style.css").write_text("a { background: url(https://j.test/i) }")

    found = " ".join(Site(tmp_path).loaded_from_elsewhere())

    assert [c for c in "abcdefghij" if f"/{c}.test" in found] == list("bcdefghj")


def test_a_link_that_leads_nowhere_would_be_found(tmp_path: Path) -> None:
    """A missing file and a missing anchor are seen, and what is there is not."""
    (tmp_path / "index.html").write_text(
        '<h1 id="here">Title</h1><a href="#here">1</a><a href="other.html#there">2</a>'
        '<a href="#away">3</a><a href="none.html">4</a><a href="other.html#here">5</a>'
    )
    (tmp_path / "other.html").write_text('<h1 id="there">Title</h1>')

    assert sorted(Site(tmp_path).broken()) == [
        "index.html: #away: no such anchor",
        "index.html: none.html: no such file",
        "index.html: other.html#here: no such anchor",
    ]
