"""Amounts arrive in another unit than the model was trained on: cents for euros, say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proofload_servers.serving.seams import Seams

from ._fault import Fault
from ._rows import inputs_changed


@dataclass(frozen=True, slots=True)
class Options:
    factor: float = 100.0


def plant(options: Options) -> Seams:
    def scaled(given: Any) -> Any:
        if isinstance(given, Mapping) and isinstance(given.get("amount"), int | float):
            return {**given, "amount": given["amount"] * options.factor}
        if isinstance(given, list) and given and isinstance(given[0], int | float):
            return [given[0] * options.factor, *given[1:]]
        return given

    return inputs_changed(scaled)


FAULT = Fault("takes amounts in another unit than training did", scenario="skew", options=Options, plant=plant)
