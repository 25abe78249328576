"""Options, labels, exit codes, JSON and dependencies as documented, and in the code."""

from __future__ import annotations

import json
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
from tests.fakes.containers import container, free_slot
from tests.unit.docs import pages

from reconciler import metrics
from reconciler.cli import cli, exits
from reconciler.cli.explain import container_json, slot_json
from reconciler.cli.options import KEYS, with_settings
from reconciler.cli.plan import change_json
from reconciler.core import placement
from reconciler.core.model import (
    Cause,
    Change,
    ServerRef,
    Tenant,
    Unplaced,
)
from reconciler.core.slot_story import SlotPart
from reconciler.core.tried import Step, Tried
from reconciler.core.view import STATES, Reading, SlotRow, unplaced_row
from reconciler.doctor import Code, Finding, Verdict
from reconciler.journal import NEWS, Entry


CONFIGURATION = pages.text_of("docs/configuration.md")
CONTEXT = click.Context(cli)
COMMANDS: dict[str, click.Command] = {
    name: command
    for name in cli.list_commands(CONTEXT)
    if (command := cli.get_command(CONTEXT, name)) is not None
}


def _options(command: click.Command) -> dict[str, click.Option]:
    return {
        param.opts[0]: param
        for param in command.params
        if isinstance(param, click.Option)
    }


SHARED = _options(click.command()(with_settings(lambda **_: None)))
OPTION_ROWS = {
    pages.codes(row[0])[0].split()[0]: row
    for row in pages.table(pages.section(CONFIGURATION, "Options"), "option")
}


def test_every_shared_option_is_documented() -> None:
    """The table of options has each option of the code once, and no other."""
    assert sorted(SHARED) == sorted(OPTION_ROWS)


@pytest.mark.parametrize("flag", sorted(SHARED))
def test_an_option_has_its_variable_key_and_default(flag: str) -> None:
    """An option's row names its variable, its key in the file and its default."""
    option = SHARED[flag]
    _, variable, key, default, _ = OPTION_ROWS[flag]
    keys = [key for key, name in KEYS.items() if name == option.name]

    assert [option.envvar] == pages.codes(variable)
    assert keys == pages.codes(key)
    assert _defaults(option) == pages.codes(default)


def _defaults(option: click.Option) -> list[str]:
    default = option.to_info_dict()["default"]
    if default is None or option.is_flag:
        return []
    return [str(one) for one in (default if option.multiple else [default])]


def test_every_key_of_the_file_is_documented() -> None:
    """Each key that a configuration file may have stands in the table."""
    documented = [key for row in OPTION_ROWS.values() for key in pages.codes(row[2])]

    assert sorted(KEYS) == sorted(documented)


def test_every_command_is_documented() -> None:
    """The table of commands has each command, with exactly its own options."""
    rows = pages.table(pages.section(CONFIGURATION, "Commands"), "command")
    documented = {
        pages.codes(row[0])[0].split()[0]: sorted(pages.codes(row[1])) for row in rows
    }
    real = {
        name: sorted(set(_options(command)) - set(SHARED))
        for name, command in COMMANDS.items()
    }

    assert real == documented


def test_the_toml_example_is_accepted(tmp_path: Path) -> None:
    """The example of a configuration file has only keys and forms that are known."""
    example = pages.block(pages.section(CONFIGURATION, "Options"), "toml")
    path = tmp_path / "reconciler.toml"
    path.write_text(example, encoding="utf-8")
    context = click.Context(click.Command("run"))
    SHARED["--config"].process_value(context, path)

    assert context.default_map is not None
    assert {KEYS[key] for key in tomllib.loads(example)} == set(context.default_map)


def test_every_exit_code_is_documented() -> None:
    """The table of exit codes is the one the command line uses."""
    rows = pages.table(pages.section(CONFIGURATION, "Exit codes"), "code")

    assert ["0", *map(str, (exits.FAILED, exits.USAGE, exits.PENDING))] == [
        row[0] for row in rows
    ]


LABELS = {
    value
    for name, value in vars(placement).items()
    if isinstance(value, str) and value.startswith(placement.PREFIX) and name.isupper()
} - {placement.PREFIX}


def test_every_label_is_documented() -> None:
    """The table of labels has each label the rules read, and no other."""
    rows = pages.table(pages.text_of("docs/labels.md"), "label")
    several = {f"{placement.BACKENDS}NAME.{setting}" for setting in ("port", "weight")}

    assert LABELS - {placement.BACKENDS} | several == set(pages.first_codes(rows))


def _example(heading: str) -> Any:  # noqa: ANN401 - it is JSON
    part = pages.section(pages.section(CONFIGURATION, "JSON"), heading)
    return json.loads(pages.block(part, "json"))


UNPLACED = Unplaced(
    backend="web",
    tenant=Tenant(container_id="a", container="web-1"),
    cause=Cause.NO_SLOT,
    reason="",
)


def test_the_json_of_slots_has_the_documented_form() -> None:
    """A slot and an unplaced container have the fields of the example, in its order."""
    example = _example("slots")

    assert list(example) == ["slots", "unplaced"]
    assert [field.name for field in fields(SlotRow)] == list(example["slots"][0])
    assert list(unplaced_row("h", UNPLACED)) == list(example["unplaced"][0])


def test_the_json_of_plan_has_the_documented_form() -> None:
    """A change has the fields of the example, in its order."""
    example = _example("plan")
    change = Change("release", ServerRef("web", "slot2"), "10.0.0.1", 80, None, "")

    assert list(change_json("h", change, ())) == list(example["changes"][0])
    assert list(example) == ["converged", "changes", "unplaced", "kept"]


def test_the_json_of_explain_has_the_documented_form() -> None:
    """A step, a container and a slot have the fields of the examples, in their order."""
    part = pages.section(pages.section(CONFIGURATION, "JSON"), "explain")
    example = _example("explain")
    slot = json.loads(pages.block(part.partition("Of a slot")[2], "json"))["slots"][0]
    free = SlotPart(
        haproxy="h",
        server=free_slot(1),
        tenant=None,
        endpoint=None,
        reading=Reading(),
    )

    assert [field.name for field in fields(Step)] == list(example["steps"][0])
    assert [f.name for f in fields(Tried)] == list(example["steps"][0]["tried"][0])
    assert list(container_json(container(), [])) == list(example)
    assert list(slot_json(free)) == list(slot)


def test_the_json_of_events_has_the_documented_form() -> None:
    """An entry has the fields of the example, in its order, and every kind is explained."""
    part = pages.section(pages.section(CONFIGURATION, "JSON"), "events")

    assert [field.name for field in fields(Entry)] == list(_example("events"))
    assert list(NEWS) == pages.first_codes(pages.table(part, "kind"))


def test_the_json_of_check_has_the_documented_form() -> None:
    """A finding has the fields of the example, and every verdict is named."""
    example = _example("check")
    part = pages.section(pages.section(CONFIGURATION, "JSON"), "check")

    assert [f.name for f in fields(Finding)] == list(example["findings"][0])
    assert {one.value for one in Verdict} <= set(pages.codes(pages.prose(part)))


def test_every_code_of_check_is_documented() -> None:
    """The tables of docs/check.md have each code once, with its verdict and its mend."""
    rows = pages.rows(pages.text_of("docs/check.md"), "code")
    documented = {pages.codes(row[0])[0]: pages.codes(row[1])[0] for row in rows}
    mended = {pages.codes(row[0])[0] for row in rows if row[3]}

    assert len(rows) == len(documented)
    assert documented == {code.text: code.verdict.value for code in Code}
    assert mended == {code.text for code in Code if code.verdict is not Verdict.OK}


def test_every_word_of_the_json_is_documented() -> None:
    """States, causes and kinds are explained, each set as the code has it."""
    slots = pages.section(pages.section(CONFIGURATION, "JSON"), "slots")
    plan = pages.section(pages.section(CONFIGURATION, "JSON"), "plan")

    assert set(STATES) <= set(pages.codes(pages.prose(slots)))
    assert {cause.value for cause in Cause} == set(
        pages.first_codes(pages.table(slots, "cause"))
    )
    assert set(metrics.KINDS) == set(pages.first_codes(pages.table(plan, "kind")))


def test_every_dependency_has_its_reason() -> None:
    """The tables of dependencies are those of pyproject.toml."""
    project = tomllib.loads(pages.text_of("pyproject.toml"))
    groups = project["dependency-groups"]
    development = [
        one for some in groups.values() for one in some if isinstance(one, str)
    ]
    text = pages.text_of("docs/dependencies.md")
    at_run_time = pages.table(pages.section(text, "At run time"), "package")
    for_tests = pages.table(pages.section(text, "For tests and checks"), "package")

    assert _names(project["project"]["dependencies"]) == pages.first_codes(at_run_time)
    assert _names(development) == sorted(pages.first_codes(for_tests))


def _names(requirements: list[str]) -> list[str]:
    return sorted(one.partition(">")[0] for one in requirements)
