"""The published schemas: valid themselves, true of the output, and as strict as they say."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import ValidationError
from tests.support.schemas import FOLDER, NAMES, validator
from tests.unit.cli.maps import HOSTILE, IPV6, MIXED, A, left_out, slot
from tests.unit.docs import pages

from reconciler.cli.slots import json_text
from reconciler.core.model import Cause
from reconciler.core.view import STATES, slot_map
from reconciler.journal import NEWS
from reconciler.metrics import KINDS


CONFIGURATION = pages.text_of("docs/configuration.md")
HEADINGS = {name: name for name in NAMES} | {"hand": "drain, ready, maint"}
Shown = dict[str, Any]


def schema_of(name: str) -> Shown:
    """Return a schema as it is published."""
    found: Shown = json.loads((FOLDER / f"{name}.schema.json").read_text())
    return found


def example_of(name: str) -> Shown:
    """Return the documented example of an output."""
    part = pages.section(pages.section(CONFIGURATION, "JSON"), HEADINGS[name])
    example: Shown = json.loads(pages.block(part, "json"))
    return example


def test_every_output_has_its_schema() -> None:
    """Each is published, and linked from the page that documents it."""
    assert NAMES == ["check", "events", "explain", "hand", "plan", "slots"]
    linked = re.findall(r"\(schemas/([a-z]+)\.schema\.json\)", CONFIGURATION)
    assert sorted(linked) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_documented_example_is_valid(name: str) -> None:
    """The example satisfies its schema, which knows every field of it."""
    validator(name).validate(example_of(name))

    text = json.dumps(schema_of(name))
    unknown = [
        key
        for key in re.findall(r'"(\w+)":', json.dumps(example_of(name)))
        if f'"{key}": {{' not in text
    ]
    assert unknown == []


@pytest.mark.parametrize("name", NAMES)
def test_fields_may_be_added(name: str) -> None:
    """A newer output is valid by an older schema."""
    example = example_of(name)
    example["later"] = 1
    for rows in example.values():
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict):
                row["later"] = {"any": "thing"}

    validator(name).validate(example)


@pytest.mark.parametrize("name", NAMES)
def test_no_field_may_go(name: str) -> None:
    """Everything that the example has is required."""
    example = example_of(name)
    for key in example:
        less = {k: v for k, v in example.items() if k != key}
        with pytest.raises(ValidationError):
            validator(name).validate(less)


def test_words_are_those_of_the_code() -> None:
    """States, causes and kinds are listed, each set as the code has it."""
    slots, events = schema_of("slots")["$defs"], schema_of("events")["properties"]
    change = schema_of("plan")["$defs"]["change"]["properties"]

    assert tuple(slots["slot"]["properties"]["state"]["enum"]) == STATES
    causes = slots["unplaced"]["properties"]["cause"]["enum"]
    assert causes == [cause.value for cause in Cause]
    assert tuple(change["kind"]["enum"]) == KINDS
    assert tuple(events["kind"]["enum"]) == (*KINDS, *NEWS)


def test_any_slot_map_is_valid() -> None:
    """Slots in every state, with any address and any name, and who has none."""
    rows = [*MIXED, *IPV6, *HOSTILE, slot(9, container=None, container_id=None)]
    unplaced = [(A, left_out("x")), (A, left_out("y", None, "a label is bad"))]

    shown = json.loads(json_text(slot_map(rows, unplaced)))

    validator("slots").validate(shown)
    assert shown == slot_map(rows, unplaced)


BREACHES: list[tuple[str, Callable[[Shown], object]]] = [
    ("a state that is none", lambda row: row.update(state="up")),
    ("a free slot with a tenant", lambda row: row.update(state="free")),
    ("an occupied slot without an address", lambda row: row.update(address=None)),
    ("a hold of a ready slot", lambda row: row.update(held=True)),
    ("a weight too large", lambda row: row.update(weight=257)),
    ("text for a number", lambda row: row.update(port="8000")),
    ("no age", lambda row: row.pop("age_seconds")),
]


@pytest.mark.parametrize(
    "breach", [pytest.param(breach, id=name) for name, breach in BREACHES]
)
def test_what_no_slot_can_be_is_not_valid(breach: Callable[[Shown], object]) -> None:
    """The schema of slots is precise."""
    shown = copy.deepcopy(example_of("slots"))
    breach(shown["slots"][0])

    with pytest.raises(ValidationError):
        validator("slots").validate(shown)
