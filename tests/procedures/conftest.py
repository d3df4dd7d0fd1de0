"""Scenarios without files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from proofload.procedures import capacity, load
from proofload.scenarios import Scenario


@pytest.fixture(scope="session")
def load_scenario() -> Callable[..., Scenario]:
    def make(**changes: Any) -> Scenario:
        return load.Settings.model_validate({"name": "load", "procedure": "load", **changes})

    return make


@pytest.fixture(scope="session")
def capacity_scenario() -> Callable[..., capacity.Settings]:
    def make(**changes: Any) -> capacity.Settings:
        return capacity.Settings.model_validate({"name": "capacity", "procedure": "capacity", **changes})

    return make
