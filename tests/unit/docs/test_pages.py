"""The documents among themselves: links, decisions, the map of the modules."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.unit.docs import pages

import reconciler


PACKAGE = Path(reconciler.__file__).parent
ARCHITECTURE = pages.text_of("docs/architecture.md")
CONTRACTS = tomllib.loads(pages.text_of("pyproject.toml"))["tool"]["importlinter"][
    "contracts"
]
LAYERED = [contract for contract in CONTRACTS if contract["type"] == "layers"]
DECISIONS = sorted((pages.DOCS / "decisions").glob("[0-9]*.md"))
PAGES = sorted(
    page
    for pattern in ("*.md", "*/*.md", "docs/*/*.md")
    for page in pages.ROOT.glob(pattern)
    if not page.relative_to(pages.ROOT).parts[0].startswith(".")
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_A_PAGE = 60


def _anchors(path: Path) -> set[str]:
    headings = re.findall(
        r"^#+ (.+)$", pages.prose(path.read_text(encoding="utf-8")), re.MULTILINE
    )
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(pages.ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every link inside the repository names a file that is there, and a heading in it."""
    broken = []
    for link in _LINK.findall(pages.prose(page.read_text(encoding="utf-8"))):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        there = (page.parent / name).resolve() if name else page
        if not there.exists() or (anchor and anchor not in _anchors(there)):
            broken.append(link)

    assert broken == []


def _modules() -> set[str]:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.add(name)
    return found - {""}


def test_the_architecture_names_every_module() -> None:
    """Each module is named in docs/architecture.md, and each that is named exists."""
    layers = pages.section(ARCHITECTURE, "Layers")
    rows = re.findall(r"^\|(.+?)\|", layers, re.MULTILINE)
    named = {word for row in rows for word in pages.codes(row)}
    named |= {w for w in pages.codes(layers) if w.startswith(("web.", "metrics."))}

    assert _modules() == named


@pytest.mark.parametrize("contract", LAYERED, ids=lambda c: str(c["name"]))
def test_the_layers_are_those_of_the_contracts(contract: dict[str, Any]) -> None:
    """A table of layers has the rows of its contract, in its order."""
    container = contract["containers"][0].removeprefix("reconciler").lstrip(".")
    part = pages.section(pages.section(ARCHITECTURE, "Layers"), contract["name"])
    rows = pages.table(part, "layer")
    shown = [[_short(word, container) for word in pages.codes(row[0])] for row in rows]

    assert [layer.split(" | ") for layer in contract["layers"]] == shown


def _short(word: str, container: str) -> str:
    return word.removeprefix(f"{container}.") if container else word


def test_every_contract_is_explained() -> None:
    """Each contract's name stands in docs/architecture.md as it is."""
    missing = [c["name"] for c in CONTRACTS if c["name"] not in ARCHITECTURE]

    assert missing == []


@pytest.mark.parametrize("page", DECISIONS, ids=lambda p: str(p.name))
def test_a_decision_has_its_parts(page: Path) -> None:
    """A decision has a number, a status and four parts, on one page."""
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)

    assert text.startswith(f"# {int(page.name[:4])}. ")
    assert re.search(r"^Status: \w+", text, re.MULTILINE)
    assert headings == ["Context", "Decision", "Consequences", "Alternatives"]
    assert len(text.splitlines()) <= _A_PAGE


def test_the_decisions_are_listed() -> None:
    """The list of decisions has each of them, numbered without a gap, by its title."""
    rows = pages.table(pages.text_of("docs/decisions/README.md"), "no.")
    real = []
    for number, page in enumerate(DECISIONS, start=1):
        title = page.read_text(encoding="utf-8").splitlines()[0]
        title = title.removeprefix(f"# {number}. ")
        real.append([str(number), f"[{title}]({page.name})"])

    assert real == rows
