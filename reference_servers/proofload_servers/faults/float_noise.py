"""Control: numbers with decimals differ in their last digits, as another order of summation makes them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from proofload_servers.serving.seams import Seams

from ._fault import Fault, chances
from ._rows import rows_changed


@dataclass(frozen=True, slots=True)
class Options:
    """`relative` is how far a value may be off at most."""

    relative: float = 1e-7
    seed: int = 1


def plant(options: Options) -> Seams:
    draw = chances(options.seed, "float-noise").uniform

    def noisy(row: list[float], places: Mapping[str, int]) -> list[float]:
        del places
        return [
            value
            if math.isnan(value) or float(value).is_integer()
            else value * (1.0 + draw(-1.0, 1.0) * options.relative)
            for value in row
        ]

    return rows_changed(noisy)


FAULT = Fault(
    "computes features with float noise within tolerance", scenario="skew", options=Options, plant=plant, control=True
)
