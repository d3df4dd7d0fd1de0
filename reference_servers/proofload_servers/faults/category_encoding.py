"""Categories are numbered by another table than the model was trained with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from proofload_servers.serving.features import MERCHANT_CATEGORIES
from proofload_servers.serving.seams import Seams

from ._fault import Fault
from ._rows import rows_changed

FEATURE = "merchant_category"


@dataclass(frozen=True, slots=True)
class Options:
    """Code c becomes (step × c + shift) modulo the number of categories: a permutation for steps prime to 15."""

    step: int = 7
    shift: int = 4

    def __post_init__(self) -> None:
        if math.gcd(self.step, len(MERCHANT_CATEGORIES)) != 1:
            raise ValueError(f"step {self.step} would make one of several categories")


def plant(options: Options) -> Seams:
    def renumbered(row: list[float], places: Mapping[str, int]) -> list[float]:
        place = places.get(FEATURE)
        if place is not None and not math.isnan(row[place]):
            row[place] = float((options.step * int(row[place]) + options.shift) % len(MERCHANT_CATEGORIES))
        return row

    return rows_changed(renumbered)


FAULT = Fault("numbers merchant categories by another table", scenario="skew", options=Options, plant=plant)
