"""The published schemas of what the commands print."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from jsonschema import Draft202012Validator


FOLDER = Path(__file__).parents[2] / "docs" / "schemas"
NAMES = sorted(
    path.name.removesuffix(".schema.json") for path in FOLDER.glob("*.schema.json")
)


@cache
def validator(name: str) -> Draft202012Validator:
    """Return what judges the output of a command."""
    schema = json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)
