"""What every test may ask for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

REQUIRE_ALL = "PROOFLOAD_REQUIRE_ALL"
"""Set where every program is expected (in .ci/run): a missing one is a failure there, not a skip."""


@pytest.fixture(scope="session")
def required_program() -> Callable[..., str]:
    """`required_program("chromium", "google-chrome")`: the path of the first that is installed.

    Where none is, the test is skipped, or fails if PROOFLOAD_REQUIRE_ALL is set.
    """

    def find(*names: str) -> str:
        for name in names:
            if found := shutil.which(name):
                return found
        reason = f"not installed: {' or '.join(names)}"
        if os.environ.get(REQUIRE_ALL):
            pytest.fail(f"{reason}, and {REQUIRE_ALL} is set")
        pytest.skip(reason)

    return find


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of this checkout."""
    return Path(__file__).resolve().parents[1]
