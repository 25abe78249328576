"""Settings every test shares: hypothesis profiles, e2e last, and who goes to one process."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import settings


settings.register_profile("dev", max_examples=100, deadline=None)
settings.register_profile("ci", max_examples=400, deadline=None, print_blob=True)
settings.register_profile("nightly", max_examples=5000, deadline=None, print_blob=True)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev")
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the quick tests first: unit, then integration, then end-to-end."""
    items.sort(
        key=lambda item: (
            item.get_closest_marker("e2e") is not None,
            item.get_closest_marker("integration") is not None,
        )
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:  # noqa: ANN401 - only there with -n
    """Share the tests between the processes of ``-n 2``: what takes longest begins.

    One gets all that use the engine, which mostly wait for containers. Those of one browser
    stay together too, and integration tests of one file, for what the file starts once.
    Not by ``--dist loadgroup``, which pytest 9.2 has broken (pytest-xdist's issue 1386).
    """
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415

    class Sharing(LoadScopeScheduling):  # type: ignore[misc] # it has no types
        def _split_scope(self, nodeid: str) -> str:
            for folder in ("tests/e2e/", "tests/integration/page/"):
                if nodeid.startswith(folder):
                    return folder
            file = nodeid.partition("::")[0]
            return file if file.startswith("tests/integration/") else nodeid

    return Sharing(config, log)
