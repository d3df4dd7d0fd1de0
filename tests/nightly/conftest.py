"""Histories of nights that nobody ran."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from proofload.nightly.plan import Cell
from proofload.testing.synthetic_nights import Made, a_cell, write_night


@pytest.fixture
def many_nights(tmp_path: Path) -> Callable[..., Path]:
    """`many_nights(48, slower_from=30)`: two cells; the p99 of flask grows by 15 % from a night on."""

    def make(nights: int, *, slower_from: int = 10_000, also: Sequence[Cell] = (), said: str = "It holds.") -> Path:
        rng = np.random.default_rng(5)
        for number in range(nights):
            slow = 1.15 if number >= slower_from else 1.0
            made = {
                a_cell(): Made(p99_ms=40.0 * slow * float(np.exp(0.03 * rng.normal())), cost=0.8),
                a_cell("grpc"): Made(p99_ms=10.0 * float(np.exp(0.03 * rng.normal()))),
                **{other: Made(p99_ms=20.0, said=said) for other in also},
            }
            write_night(tmp_path / "n", number, made)
        return tmp_path / "n"

    return make
