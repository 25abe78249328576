"""The HAProxy configurations in the documents, on every version."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.haproxy_process import HaproxyProcess
from tests.unit.docs import pages


pytestmark = pytest.mark.integration

WHOLE = [
    (page, number, block)
    for page in sorted(pages.DOCS.glob("*.md"))
    for number, block in enumerate(
        pages.blocks(page.read_text(encoding="utf-8"), "haproxy"), start=1
    )
    if "frontend " in block
]


@pytest.mark.parametrize(
    "block", [one[2] for one in WHOLE], ids=[f"{p.stem}-{n}" for p, n, _ in WHOLE]
)
def test_an_example_is_valid_without_a_warning(
    version: str, tmp_path: Path, block: str
) -> None:
    """`haproxy -c` accepts a whole configuration and has nothing to say against it."""
    checked = HaproxyProcess(version, tmp_path, config=block).check()

    assert checked.returncode == 0, checked.stderr
    assert "WARNING" not in checked.stderr


def test_there_are_examples() -> None:
    """The pages that show whole configurations are among those that are checked."""
    assert {page.stem for page, _, _ in WHOLE} >= {"adopt", "from-dockercloud-haproxy"}
