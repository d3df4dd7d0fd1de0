"""Bounds are computed with infinity and NaN; what is recorded has None in their place."""

from __future__ import annotations

import math


def finite(value: float | None) -> float | None:
    """None for infinity and NaN: what is not known is no number. NumPy's floats become plain ones."""
    return float(value) if value is not None and math.isfinite(value) else None
