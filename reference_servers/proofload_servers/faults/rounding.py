"""Features are rounded on their way to the model: by a cache of text, a column of decimals, a log that is read back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from proofload_servers.serving.seams import Seams

from ._fault import Fault
from ._rows import rows_changed


@dataclass(frozen=True, slots=True)
class Options:
    decimals: int = 1


def plant(options: Options) -> Seams:
    def coarse(row: list[float], places: Mapping[str, int]) -> list[float]:
        del places
        return [value if math.isnan(value) else round(value, options.decimals) for value in row]

    return rows_changed(coarse)


FAULT = Fault("rounds features before it predicts", scenario="skew", options=Options, plant=plant)
