"""What is not known is None, and never a number that JSON does not have."""

from __future__ import annotations

import math

import numpy as np
import pytest

from proofload.analysis.finite import finite


@pytest.mark.parametrize("unknown", [None, math.inf, -math.inf, math.nan, np.float64("nan")])
def test_what_is_not_known_is_none(unknown: float | None) -> None:
    assert finite(unknown) is None


def test_a_number_stays_and_is_a_plain_one() -> None:
    assert (finite(0.0), finite(-1.5)) == (0.0, -1.5)
    assert type(finite(np.float64(2.0))) is float
