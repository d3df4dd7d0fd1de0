"""What a request's latency owes to the company it found: others in flight when it was sent.

In company means waiting behind others, so it is slower, or, where there are workers enough, as fast. It is *faster*
only where lone requests wait for company: a batch that has to fill. The statistic is the chance that a request in
company beats a lone one by a margin, with the variance of DeLong, DeLong and Clarke-Pearson (Biometrics 44, 1988),
taken over batches of consecutive requests, because those share a queue.

Where computing a batch costs nearly as much as its parts, company costs what it saves and that shows nothing. But then
the lone request itself tells: it found the server idle, and yet its answer comes together with that of a later one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

FEWEST = 15
"""Requests of either kind below which nothing is said."""
BATCHES = 20


TOGETHER = 0.2
"""Answers are together when they are apart by at most this part of what the requests were apart, or TOGETHER_NS."""
TOGETHER_NS = 500_000
APART_NS = 4_000_000
"""Requests nearer to each other than this tell nothing."""


@dataclass(frozen=True, slots=True)
class Chance:
    """A chance with one-sided bounds: `high` at the error rate of a pass, `fail_low` at that of a fail."""

    value: float
    low: float
    high: float
    fail_low: float


def in_flight(at_ns: NDArray[np.int64], sent_ns: NDArray[np.int64], done_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many requests were on their way at each instant, not counting one that is sent at it."""
    begun = np.searchsorted(np.sort(sent_ns), at_ns, side="left")
    ended = np.searchsorted(np.sort(done_ns), at_ns, side="right")
    return np.asarray(begun - ended, dtype=np.int64)


def held_back(sent_ns: NDArray[np.int64], done_ns: NDArray[np.int64], company: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Of the requests that found the server idle and were followed by another before they were answered: which were
    answered together with it. A server that begins with what it has never holds one back for the next.

    Columns of all requests on their way to the same server, in order of `sent_ns`.
    """
    first = np.flatnonzero(company[:-1] == 0) if len(company) else np.zeros(0, dtype=np.int64)
    gap = sent_ns[first + 1] - sent_ns[first]
    followed = (gap >= APART_NS) & (sent_ns[first + 1] < done_ns[first])
    first, gap = first[followed], gap[followed]
    apart = np.abs(done_ns[first + 1] - done_ns[first])
    return np.asarray(apart <= np.maximum(TOGETHER_NS, TOGETHER * gap))


def chance_faster(
    company: NDArray[np.float64],
    alone: NDArray[np.float64],
    margin: float,
    *,
    alpha_fail: float,
    alpha_pass: float,
) -> Chance | None:
    """P(company + margin < alone), both in order of due time and in the same unit; None for too few finite ones."""
    company, alone = (values[np.isfinite(values)] for values in (company, alone))
    if len(company) < FEWEST or len(alone) < FEWEST:
        return None
    faster, slower = company + margin, alone
    of_company = 1.0 - np.searchsorted(np.sort(slower), faster, side="right") / len(slower)
    of_alone = np.searchsorted(np.sort(faster), slower, side="left") / len(faster)
    value = float(of_company.mean())
    (variance_c, free_c), (variance_a, free_a) = _mean_variance(of_company), _mean_variance(of_alone)
    least = 0.25 / (min(len(company), len(alone)) + 4.0) * 0.1  # no spread seen is not none there
    variance = max(variance_c + variance_a, least)
    shares = variance_c**2 / free_c + variance_a**2 / free_a
    freedom = (variance_c + variance_a) ** 2 / shares if shares > 0.0 else float(free_c + free_a)
    error = math.sqrt(variance)

    def reach(alpha: float) -> float:
        return -float(special.stdtrit(freedom, alpha)) * error

    return Chance(
        value,
        max(0.0, value - reach(alpha_pass)),
        min(1.0, value + reach(alpha_pass)),
        max(0.0, value - reach(alpha_fail)),
    )


def _mean_variance(values: NDArray[np.float64]) -> tuple[float, int]:
    """Squared error of the mean, from batches of consecutive values, and its degrees of freedom."""
    batches = min(BATCHES, len(values) // 3)
    size = len(values) // batches
    means = values[: size * batches].reshape(batches, size).mean(axis=1)
    return float(means.var(ddof=1)) / batches, batches - 1
