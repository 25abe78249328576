"""Whatever the documents tell somebody to type exists."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from tests.unit.docs import pages
from tests.unit.docs.command_lines import Call, calls, lone_options, make_targets
from tests.unit.docs.test_docs import COMMANDS, LABELS

from reconciler import cli


PAGES = sorted(
    page
    for pattern in ("*.md", "*/*.md", "docs/*/*.md")
    for page in pages.ROOT.glob(pattern)
    if not page.relative_to(pages.ROOT).parts[0].startswith(".")
)
KNOWN_LABELS = LABELS | {"haproxy.backends.NAME.port", "haproxy.backends.NAME.weight"}
TARGETS = set(
    re.findall(r"^([a-z0-9-]+):", pages.text_of("Makefile"), flags=re.MULTILINE)
)
OF_OTHERS = {
    "--force-recreate": "docker compose up",
    "--no-recreate": "docker compose up",
    "--scale": "docker compose up",
    "--stop-timeout": "docker run",
    "--user": "docker run",
}
"""Options of other programs that a document names with no command before them."""

every_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda p: str(p.relative_to(pages.ROOT))
)


def _options(command: click.Command) -> set[str]:
    own = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    return own | {"-h", "--help"}


def _faults(call: Call) -> list[str]:
    """Return what the command line would refuse in a call, by its words alone."""
    if call.words[0].startswith("-"):
        unknown = call.options - _options(cli.cli)
    else:
        names = call.words[0].split("|")
        absent = [name for name in names if name not in COMMANDS]
        if absent:
            return [f"{call.shown}: no command {name}" for name in absent]
        known = {option for name in names for option in _options(COMMANDS[name])}
        unknown = call.options - known
    return [f"{call.shown}: no option {option}" for option in sorted(unknown)]


@every_page
def test_the_commands_exist(page: Path) -> None:
    """Each `reconciler …` that a document shows has a command and options that exist."""
    text = page.read_text(encoding="utf-8")

    assert [fault for call in calls(text) for fault in _faults(call)] == []


@pytest.mark.parametrize(
    "page",
    # The benchmarks have options of their own.
    [page for page in PAGES if page.parent.name != "benchmarks"],
    ids=lambda p: str(p.relative_to(pages.ROOT)),
)
def test_the_options_exist(page: Path) -> None:
    """Each option in a code span is one of a command here, or is known as another's."""
    known = {one for command in COMMANDS.values() for one in _options(command)}
    named = set(lone_options(page.read_text(encoding="utf-8")))

    assert named - known - _options(cli.cli) - set(OF_OTHERS) == set()


@pytest.mark.parametrize(
    "page",
    # These two name modules: `haproxy.client` is no label.
    [page for page in PAGES if page.stem not in {"architecture", "runtime-client"}],
    ids=lambda p: str(p.relative_to(pages.ROOT)),
)
def test_the_labels_exist(page: Path) -> None:
    """Each label in a code span is one that the rules read."""
    spans = pages.codes(pages.prose(page.read_text(encoding="utf-8")))
    named = {re.split(r"[:=\s]", span)[0] for span in spans if span[:8] == "haproxy."}

    whole = {name for name in named if not name.endswith((".", "…"))}
    assert whole - KNOWN_LABELS - {"haproxy.cfg"} == set()


@every_page
def test_the_make_targets_exist(page: Path) -> None:
    """Each `make` that a document shows is of a target in the Makefile."""
    assert set(make_targets(page.read_text(encoding="utf-8"))) <= TARGETS


def test_every_make_target_is_documented() -> None:
    """Some document names each target that somebody might want to type."""
    text = "\n\n".join(page.read_text(encoding="utf-8") for page in PAGES)

    assert TARGETS - set(make_targets(text)) - UNNAMED == set()


UNNAMED = {
    "bench-tools",
    "chromium",
    "clean",
    "help",
    "prometheus",
    "setup",
    "venv",
    "versions",
}
"""Parts of other targets, and what `make` itself tells."""

SHOWN = """
Say `reconciler gone`, `reconciler plan --gone` or `reconciler drain|ready X --wait 5`.

```console
$ docker compose exec reconciler reconciler slots --lost && reconciler --never
slots --not-a-command
```

```sh
docker compose logs reconciler   # reconciler comment
docker compose run --rm reconciler vanished
make demo absent MINUTES=5
```
"""


def test_what_does_not_exist_would_be_found() -> None:
    """Calls are seen in spans, sessions and scripts, and told from a service's name."""
    found = [fault for call in calls(SHOWN) for fault in _faults(call)]

    assert [fault.partition(": ")[2] for fault in found] == [
        "no option --lost",
        "no option --never",
        "no command vanished",
        "no command gone",
        "no option --gone",
    ]
    assert list(make_targets(SHOWN)) == ["demo", "absent"]
    assert list(lone_options("`--gone N`, `docker --here`")) == ["--gone"]
