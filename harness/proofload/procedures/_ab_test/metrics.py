"""The metrics of an A/B test: what each takes of a request, which way is better, how much of a difference matters."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.arm_difference import Shown, stretches, user_means
from proofload.analysis.sample_size import Plan, Spread, plan, spread_of
from proofload.analysis.summary import ANSWERED, TIMED, with_outcome
from proofload.clock import NS_PER_MS
from proofload.records import Outcome, Samples
from proofload.verdict.ab_test import Question
from proofload.verdict.experiment import Direction, three_figures

METRICS = ("ok_share", "latency_p50_ms", "latency_mean_ms", "score")
UNITS = {"ok_share": "share", "latency_p50_ms": "ms", "latency_mean_ms": "ms", "score": "score"}
BETTER: dict[str, Direction] = {
    "ok_share": "higher",
    "latency_p50_ms": "lower",
    "latency_mean_ms": "lower",
    "score": "same",
}
_OK_MARGIN = 0.02
_SLOWER, _SLOWER_MS = 0.2, 1.0
_SMALL = 0.2
"""Of a standard deviation: a small effect, by Cohen's convention."""


@dataclass(frozen=True, slots=True)
class Users:
    """Who sent each payload: numbers from 0, -1 where none is named. `count` is how many there are."""

    of_payload: NDArray[np.int64]
    count: int

    @staticmethod
    def of(numbers: NDArray[np.int32] | None) -> Users:
        if numbers is None or not len(numbers):
            return Users(np.zeros(0, np.int64), 0)
        return Users(numbers.astype(np.int64), int(numbers.max()) + 1)

    def sent(self, samples: Samples) -> NDArray[np.int64]:
        """The user of each request; one without a user is a user of its own."""
        payload = samples.table["payload"]
        user = self.of_payload[payload] if len(self.of_payload) else np.full(len(payload), -1, np.int64)
        return np.where(user >= 0, user, self.count + np.arange(len(user)))


@dataclass(frozen=True, slots=True)
class Asked:
    """One metric, decided on before the experiment from what the pilot showed."""

    metric: str
    direction: Direction
    margin: float
    plan: Plan
    spread: Spread
    before: NDArray[np.float64] | None

    def question(self, alpha_fail: float, alpha_pass: float) -> Question:
        return Question(
            self.margin,
            self.direction,
            alpha_fail,
            alpha_pass,
            medians=self.metric == "latency_p50_ms",
            shares=self.metric == "ok_share",
            before=self.before,
        )


@dataclass(frozen=True, slots=True)
class Questions:
    """All that an experiment is asked."""

    metrics: tuple[str, ...]
    """The metric in question first, then the guardrails."""
    asked: tuple[Asked, ...]
    """Those of them that the pilot showed anything of."""
    alpha_fail: float
    """The error rate of a fail that each check may use."""

    @property
    def unseen(self) -> tuple[str, ...]:
        seen_of = {one.metric for one in self.asked}
        return tuple(name for name in self.metrics if name not in seen_of)


@dataclass(frozen=True, slots=True)
class Design:
    """What an experiment is to be, besides its metrics."""

    share: float
    requests: float
    """Expected in the whole experiment."""
    alpha_fail: float
    alpha_pass: float
    power: float


def seen(metric: str, samples: Samples) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The metric's value of each request that has one, and which requests those are."""
    table = samples.table
    if metric == "ok_share":
        has = table["outcome"] != Outcome.UNSENT
        return (table["outcome"][has] == Outcome.OK).astype(np.float64), has
    if metric == "score":
        has = np.isfinite(table["score"]) & with_outcome(samples, *ANSWERED)
        return table["score"][has].astype(np.float64), has
    has = with_outcome(samples, *TIMED) & (table["done_ns"] > 0)
    return (table["done_ns"] - table["intended_ns"])[has] / NS_PER_MS, has


def shown(metric: str, samples: Samples, users: Users, *, start_ns: int, stretch_ns: int) -> Shown:
    """The experiment's requests as the analysis takes them."""
    values, has = seen(metric, samples)
    table = samples.table
    return Shown(
        values=values,
        arm=table["arm"][has].astype(np.int64),
        user=users.sent(samples)[has],
        stretch=stretches(table["intended_ns"][has], start_ns, stretch_ns),
    )


def asked(
    metric: str, pilot: Samples, users: Users, design: Design, *, margin: float | None, mde: float | None,
    direction: Direction | None,
) -> Asked | None:  # fmt: skip
    """What is asked of a metric; None where the pilot shows no value of it."""
    values, has = seen(metric, pilot)
    if len(values) < 2:
        return None
    who = users.sent(pilot)[has]
    _, dense = np.unique(who, return_inverse=True)
    spread = spread_of(values, dense.astype(np.int64))
    named = bool(users.count)
    if metric == "ok_share":  # a pilot in which nothing failed has not shown that nothing does
        wary = (float(values.sum()) + 1.0) / (len(values) + 2.0)
        spread = Spread(spread.mean, spread.between, max(spread.within, wary * (1.0 - wary)), spread.foretold)
    if metric == "latency_p50_ms":  # the middle's own spread: a long tail says nothing of it
        spread = _around_the_middle(values, spread)
    matters = margin if margin is not None else _margin(metric, values, spread)
    expected = design.requests * min(design.share, 1.0 - design.share)
    each = max(1.0, design.requests / users.count) if named else 1.0
    planned = plan(
        spread,
        margin=matters,
        mde=mde if mde is not None else 2.0 * matters,
        users=round(min(expected, users.count * min(design.share, 1.0 - design.share)) if named else expected),
        requests=each,
        alpha_fail=design.alpha_fail,
        alpha_pass=design.alpha_pass,
        power=design.power,
    )
    before = None
    if named and metric == "score":  # how long an answer took, or whether it came, says nothing of the user
        before = user_means(values, np.minimum(who, users.count), users.count + 1)
        before = before[: users.count]
    return Asked(metric, direction or BETTER[metric], matters, planned, spread, before)


def _margin(metric: str, values: NDArray[np.float64], spread: Spread) -> float:
    if metric == "ok_share":
        return _OK_MARGIN
    if metric == "score":
        return max(three_figures(_SMALL * math.sqrt(spread.between + spread.within)), 1e-9)
    level = float(np.median(values)) if metric == "latency_p50_ms" else float(values.mean())
    return three_figures(_SLOWER * level + _SLOWER_MS)


def _around_the_middle(values: NDArray[np.float64], spread: Spread) -> Spread:
    low, middle, high = np.quantile(values, [0.4, 0.5, 0.6])
    return Spread(float(middle), 0.0, (0.5 * max(float(high - low), 1e-9) / 0.2) ** 2, spread.foretold)
