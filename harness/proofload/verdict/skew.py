"""From counts of rows to pass, fail or inconclusive: parity, predictions, ids, ages, drift."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from proofload.analysis.drift import FEWEST, Drift
from proofload.analysis.parity import Stratum
from proofload.analysis.shares import lower_bound, upper_bound
from proofload.records import Interval, Status


@dataclass(frozen=True, slots=True)
class Ruling:
    """On a share that may be at most `limit`."""

    status: Status
    bad: float
    """Rows, each counted once: a row seen five times of which one differs is a fifth."""
    n: int
    limit: float
    interval: Interval
    """Low at the error rate of a fail, high at that of a pass."""
    needs: int | None = None
    """Rows in all that would settle it if none of the further ones differs; None where settled or hopeless."""
    where: str = ""
    """The part of the rows that decided it, where it was not all of them."""

    @property
    def share(self) -> float | None:
        return self.bad / self.n if self.n else None


def rule(bad: float, n: int, *, limit: float, alpha_fail: float, alpha_pass: float) -> Ruling:
    """Exact binomial bounds (Clopper and Pearson, 1934). A limit of 0 is about these rows alone: one is proof."""
    if n <= 0:
        return Ruling(Status.INCONCLUSIVE, 0.0, 0, limit, Interval(None, None), rows_needed(limit, alpha_pass))
    low, high = lower_bound(bad, n, alpha_fail), upper_bound(bad, n, alpha_pass)
    interval = Interval(low, high)
    if limit <= 0:
        return Ruling(Status.FAIL if bad > 0 else Status.PASS, bad, n, limit, interval)
    if low > limit:
        return Ruling(Status.FAIL, bad, n, limit, interval)
    if high <= limit:
        return Ruling(Status.PASS, bad, n, limit, interval)
    return Ruling(Status.INCONCLUSIVE, bad, n, limit, interval, _settling(bad, n, limit, alpha_pass))


def rule_exactly(bad: int, n: int, *, limit: float) -> Ruling:
    """On what was counted in full and stands for nothing but itself: ids, payloads."""
    if n <= 0:
        return Ruling(Status.INCONCLUSIVE, 0.0, 0, limit, Interval(None, None), 1)
    share = bad / n
    return Ruling(Status.FAIL if share > limit else Status.PASS, float(bad), n, limit, Interval(share, share))


def rows_needed(limit: float, alpha_pass: float) -> int | None:
    """Rows without a single mismatch that bound the share: 299 for 1 %, 2,995 for 0.1 %, at 95 %."""
    return math.ceil(math.log(alpha_pass) / math.log1p(-limit)) if 0 < limit < 1 else None


def rule_feature(
    bad: NDArray[np.bool_],
    unit: NDArray[np.int64],
    parts: Sequence[Stratum],
    *,
    limit: float,
    alpha_fail: float,
    alpha_pass: float,
) -> Ruling:
    """On one feature: a pass is about all rows (the first stratum); a fail may come from any part of them, each at
    its share of `alpha_fail`. `unit`: rows with the same number are one event seen again."""
    each = alpha_fail / max(1, len(parts))
    rulings = [
        rule(*_by_unit(bad[part.rows], unit[part.rows]), limit=limit, alpha_fail=each, alpha_pass=alpha_pass)
        for part in parts
    ]
    whole = rulings[0]
    if whole.status is Status.FAIL:
        return whole
    broken = [(ruling, part) for ruling, part in zip(rulings, parts, strict=True) if ruling.status is Status.FAIL]
    if not broken:
        return whole
    ruling, part = max(broken, key=lambda item: item[0].bad)
    return Ruling(Status.FAIL, ruling.bad, ruling.n, limit, ruling.interval, where=part.name)


def rule_drift(
    found: Drift, *, significant: bool, limit: float, alpha_fail: float, alpha_pass: float
) -> tuple[Status, Interval]:
    """Fail: significant among the features, and the effect's lower bound is above `limit`. Pass: its upper bound is
    below. The bounds allow for what the effect is with no drift at all (`Drift.bias`)."""
    low = max(0.0, found.effect - found.bias - float(-ndtri(alpha_fail)) * found.error)
    high = min(1.0, found.effect + float(-ndtri(alpha_pass)) * found.error)
    interval = Interval(low, high)
    if min(found.effective) < FEWEST:
        return Status.INCONCLUSIVE, interval
    if significant and low > limit:
        return Status.FAIL, interval
    return (Status.PASS if high < limit else Status.INCONCLUSIVE), interval


def _by_unit(bad: NDArray[np.bool_], unit: NDArray[np.int64]) -> tuple[float, int]:
    if not len(unit):
        return 0.0, 0
    seen = np.bincount(unit)
    wrong = np.bincount(unit[bad], minlength=len(seen))
    present = seen > 0
    return float((wrong[present] / seen[present]).sum()), int(present.sum())


def _settling(bad: float, n: int, limit: float, alpha_pass: float) -> int | None:
    """Rows in all with no further mismatch, at most a thousand times as many as there are."""
    if bad <= 0:
        return rows_needed(limit, alpha_pass)
    size = n
    while size <= 1000 * n:
        if upper_bound(bad, size, alpha_pass) <= limit:
            return size
        size = math.ceil(size * 1.2) + 1
    return None
