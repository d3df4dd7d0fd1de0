"""An even A/B split needs about 6,500 users a group to find a change of 20 % in a conversion of 3 %."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from proofload.analysis.shares import two_sided_bounds
from proofload.claims import Claim, Measured, Prediction
from proofload.claims.laboratory import Laboratory
from proofload.claims.quantities import CONFIDENCE
from proofload.records import Interval

RATE, CHANGE, USERS = 0.03, 0.2, 6_500
ALPHA = 0.05
EXPERIMENTS = 20_000


def create() -> Claim:
    return Claim(
        number=11,
        name="ab-users",
        says="An even A/B split needs about 6,500 users a group to find ±20 % of a conversion of 3 %",
        source="course notes on deployment patterns",
        predicts=Prediction("share of experiments of 6,500 users a group that find a true change", "%", 80.0, None),
        how="20,000 experiments are drawn, 3 % against 3.6 %, each tested two-sided at 5 %; 80 % is the usual power.",
        measure=measure,
    )


def measure(laboratory: Laboratory) -> Measured:  # noqa: ARG001  no server is needed
    found = int(np.count_nonzero(detections(USERS, EXPERIMENTS, np.random.default_rng(20))))
    low, high = two_sided_bounds(found, EXPERIMENTS, CONFIDENCE)
    needed = users_needed(0.8)
    again = np.mean(detections(needed, EXPERIMENTS, np.random.default_rng(21)))
    detail = f"{found:,} of {EXPERIMENTS:,} found it; with {needed:,} users a group, {again:.0%} do"
    return Measured(100.0 * found / EXPERIMENTS, Interval(100.0 * low, 100.0 * high), detail)


def detections(users: int, experiments: int, rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which of the experiments see a difference: the pooled test of two shares."""
    one = rng.binomial(users, RATE, experiments) / users
    other = rng.binomial(users, RATE * (1.0 + CHANGE), experiments) / users
    pooled = (one + other) / 2.0
    error = np.sqrt(2.0 * pooled * (1.0 - pooled) / users)
    return np.asarray(np.abs(other - one) > stats.norm.isf(ALPHA / 2.0) * error)


def users_needed(power: float) -> int:
    """A group's, by the normal approximation of the same test."""
    one, other = RATE, RATE * (1.0 + CHANGE)
    pooled = (one + other) / 2.0
    by_chance = stats.norm.isf(ALPHA / 2.0) * math.sqrt(2.0 * pooled * (1.0 - pooled))
    missed = stats.norm.isf(1.0 - power) * math.sqrt(one * (1.0 - one) + other * (1.0 - other))
    return math.ceil(((by_chance + missed) / (other - one)) ** 2)
