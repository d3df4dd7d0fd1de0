"""What the pure parts hand over cannot be changed by whoever gets it."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Any

import pytest

from proofload import analysis, verdict

LIVE = {"GuardWatch", "_Track", "_Window"}
"""Fed while a rollout runs, or night after night."""


def records(part: ModuleType) -> list[type[Any]]:
    names = [module.name for module in pkgutil.iter_modules(part.__path__, f"{part.__name__}.")]
    classes = [one for name in names for _, one in inspect.getmembers(importlib.import_module(name), inspect.isclass)]
    return [one for one in dict.fromkeys(classes) if dataclasses.is_dataclass(one)]


@pytest.mark.parametrize(
    "record", [*records(analysis), *records(verdict)], ids=lambda record: f"{record.__module__}.{record.__name__}"
)
def test_a_record_is_frozen_and_slotted(record: type[Any]) -> None:
    assert record.__dataclass_params__.frozen is (record.__name__ not in LIVE)
    assert "__slots__" in vars(record)
