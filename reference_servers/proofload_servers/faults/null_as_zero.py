"""Missing features are filled with a number, which training left missing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from proofload_servers.serving.seams import Seams

from ._fault import Fault
from ._rows import rows_changed


@dataclass(frozen=True, slots=True)
class Options:
    value: float = 0.0


def plant(options: Options) -> Seams:
    def filled(row: list[float], places: Mapping[str, int]) -> list[float]:
        del places
        return [options.value if math.isnan(value) else value for value in row]

    return rows_changed(filled)


FAULT = Fault("fills what is missing with zero", scenario="skew", options=Options, plant=plant)
