"""Reading the documents: tables, code blocks, headings."""

from __future__ import annotations

import re
from pathlib import Path


ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"

_CODE = re.compile(r"`([^`]+)`")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def text_of(path: str) -> str:
    """Return a document's text by its path from the repository's root."""
    return (ROOT / path).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """Return what stands below a heading, up to the next of its rank or higher."""
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert found is not None, f"no heading {heading!r}"
    rest = text[found.end() :]
    following = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: following.start()] if following else rest


def table(text: str, first_column: str) -> list[list[str]]:
    """Return the body of the first table whose first column has this title."""
    lines = iter(text.splitlines())
    for line in lines:
        if _cells(line)[:1] == [first_column]:
            break
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append(_cells(line))
    assert rows, f"no table {first_column!r}"
    return rows


def rows(text: str, first_column: str) -> list[list[str]]:
    """Return the bodies of all tables whose first column has this title, as one."""
    found, is_inside = [], False
    for line in text.splitlines():
        cells = _cells(line)
        is_inside = bool(cells) and (is_inside or cells[0] == first_column)
        if is_inside and cells[0] not in {first_column, "---"}:
            found.append(cells)
    assert found, f"no table {first_column!r}"
    return found


def _cells(line: str) -> list[str]:
    if not line.startswith("|"):
        return []
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def codes(cell: str) -> list[str]:
    """Return the words in backticks."""
    return _CODE.findall(cell)


def first_codes(rows: list[list[str]]) -> list[str]:
    """Return the first word in backticks of each row."""
    return [codes(row[0])[0] for row in rows]


def prose(text: str) -> str:
    """Return a document without its fenced blocks."""
    return _FENCED.sub("", text)


def block(text: str, language: str) -> str:
    """Return the first fenced block in a language."""
    found = re.search(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"no {language} block"
    return found[1]


def blocks(text: str, language: str) -> list[str]:
    """Return every fenced block in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
