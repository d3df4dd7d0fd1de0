"""Cold starts, decided: the restart is the unit, and so many of them showed harm.

A fail says that more than the tolerated share of restarts is harmed, and, where windows of the warm instance are
there to compare with, that it is not the host that does it (Fisher's exact test). A pass says that the quantile of
restarts that the scenario asks for is free of harm, and that no harm was seen; where some was, that no more than the
tolerated share is harmed, or that the warm instance looks the same as often. Both are exact for independent restarts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from proofload.analysis.effective import design_effect
from proofload.analysis.restarts import bounded_quantile
from proofload.analysis.rule import Ruling, holds
from proofload.analysis.shares import lower_bound, upper_bound
from proofload.records import Interval, Status


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of restarts."""

    quantile: float
    """A pass: at least this share of restarts is free of harm."""
    tolerated: float
    """A fail: more than this share is harmed."""
    alpha: float
    """Chance of a false fail."""
    confidence: float
    """Of a pass."""


@dataclass(frozen=True, slots=True)
class Harm:
    """How many restarts were harmed, and how many windows of the warm instance looked the same."""

    hits: int
    n: int
    warm_hits: int = 0
    warm_n: int | None = None
    """None: there is nothing to compare with, nor any need."""


@dataclass(frozen=True, slots=True)
class RestartRuling:
    status: Status
    interval: Interval
    """Of the share of restarts that are harmed; low at the error rate of a fail, high at that of a pass."""
    settle: str = ""


def decide(harm: Harm, demand: Demand) -> RestartRuling:
    """One kind of harm over all restarts."""
    if harm.n == 0:
        return RestartRuling(Status.INCONCLUSIVE, Interval(None, None), "at least one restart that came up")
    hits, n = harm.hits, harm.n
    low, high = lower_bound(hits, n, demand.alpha), upper_bound(hits, n, 1.0 - demand.confidence)
    interval = Interval(low, high)
    if harm.warm_n == 0:
        return RestartRuling(Status.INCONCLUSIVE, interval, "a warm stretch to compare with")
    if exceeds(harm, demand):
        return RestartRuling(Status.FAIL, interval)
    if high <= _permitted(harm, demand):
        return RestartRuling(Status.PASS, interval)
    return RestartRuling(Status.INCONCLUSIVE, interval, _settle(harm, demand))


def exceeds(harm: Harm, demand: Demand) -> bool:
    """Shown: more than the tolerated share, and more than among windows of the warm instance."""
    hits, n = harm.hits, harm.n
    if hits == 0 or float(special.bdtrc(hits - 1, n, demand.tolerated)) > demand.alpha:
        return False
    if harm.warm_n is None:
        return True
    everything, marked = n + harm.warm_n, hits + harm.warm_hits
    return float(stats.hypergeom.sf(hits - 1, everything, marked, n)) <= demand.alpha


def _permitted(harm: Harm, demand: Demand) -> float:
    """The share of harmed restarts that a pass must exclude: what was seen must not be beyond what fails."""
    asked = 1.0 - demand.quantile
    as_warm = bool(harm.warm_n) and harm.hits * (harm.warm_n or 0) <= harm.warm_hits * harm.n
    return asked if harm.hits == 0 or as_warm else min(asked, demand.tolerated)


def joined_well(bad: NDArray[np.bool_], ok_share: float, *, alpha_pass: float, alpha_fail: float) -> Ruling:
    """Requests that failed while a second instance joined, in order of due time: at most 1 − `ok_share` of them may.

    One joining is one observation of many requests; runs of failures count by their design effect.
    """
    return holds(
        int(np.count_nonzero(bad)),
        len(bad),
        ok_share,
        effect=design_effect(bad),
        confidence=1.0 - alpha_pass,
        alpha_fail=alpha_fail,
    )


def _settle(harm: Harm, demand: Demand) -> str:
    needs = harm.n + 1
    while needs < 100_000:
        if upper_bound(harm.hits, needs, 1.0 - demand.confidence) <= _permitted(harm, demand):
            break
        needs += 1
    if harm.hits:
        return f"{needs} restarts of which no more than {harm.hits} show it would pass (now {harm.n})"
    bounds = bounded_quantile(harm.n, demand.confidence)
    return f"{needs} restarts (now {harm.n}, which bound no more than the {100 * bounds:.0f} % quantile)"
