"""A soak's cells, from its beginning on, put before the rule about latency that creeps."""

from __future__ import annotations

import numpy as np

from proofload.analysis.ageing import Cell, above, merged, middles_s, percentile_ms
from proofload.analysis.trend import SETTLING
from proofload.verdict.soak_latency import Allowance, Creep, judge_creep, slow_limit_ms

BLOCKS = 24
"""Twice as many as of a resource: percentiles of so many cells are nearly independent."""
TAIL = 0.9
"""From this quantile on."""


def creep_of(cells: list[Cell], allowance: Allowance, *, alpha_fail: float, alpha_pass: float) -> Creep:
    """How one percentile grew once the run had settled. A tail is counted, too, where its trend scatters too much."""
    fine = cells[round(SETTLING * len(cells)) :]
    blocks = merged(fine, BLOCKS)
    values = np.array([percentile_ms(block.counts, allowance.q) for block in blocks])
    later: list[tuple[int, int]] = []
    if allowance.q >= TAIL:
        limit = slow_limit_ms(values[: len(values) // 2], allowance)
        if np.isfinite(limit):
            later = [(above(cell.counts, limit), cell.timed) for cell in fine[-(len(fine) // 3) :]]
    return judge_creep(middles_s(blocks), values, allowance, later=later, alpha_fail=alpha_fail, alpha_pass=alpha_pass)
