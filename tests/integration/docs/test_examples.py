"""The HAProxy configurations in the documents, on every version."""

from __future__ import annotations

import re
from pathlib import Path

import certifi
import pytest
from tests.support.haproxy_process import HaproxyProcess
from tests.unit.docs import dockercloud, pages


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


def test_each_line_for_dockercloud_is_valid_without_a_warning(
    version: str, tmp_path: Path
) -> None:
    """HAProxy accepts every line of the tables, each in the section that is named."""
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    config = dockercloud.configuration([*dockercloud.GLOBAL, *dockercloud.OF_SERVICES])
    config = re.sub(r"crt /\S+", f"crt {certificates}", config)
    config = re.sub(r"ca-file /\S+", f"ca-file {certifi.where()}", config)

    # There is no certificate to give it: strict-sni makes of that error a warning.
    config = config.replace(" ssl crt", " ssl strict-sni crt")
    checked = HaproxyProcess(version, tmp_path, config=config).check()
    warnings = [line for line in checked.stderr.splitlines() if "WARNING" in line]

    assert checked.returncode == 0, checked.stderr
    assert [w for w in warnings if "no SSL certificate specified" not in w] == []
