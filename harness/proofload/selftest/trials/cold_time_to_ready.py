"""Does it take longer from spawn to ready than allowed? And do the bounds of quantiles over restarts cover them?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import norm

from proofload.analysis.restarts import restart_quantile
from proofload.records import Status
from proofload.selftest import Shape
from proofload.selftest.trials._cold_histories import QUICK, RESTARTS
from proofload.verdict.cold import Harm, decide

ALPHA = 0.001
TOLERATED = 0.05
Times = Callable[[np.random.Generator], NDArray[np.float64]]
"""Times to ready of one run, in units of the limit."""


def create() -> TimeToReady:
    return TimeToReady()


class TimeToReady:
    scenario = "cold-start"
    decides = "it takes longer to get ready than allowed"

    def shapes(self) -> Sequence[Shape]:
        nulls: dict[str, Times] = {
            "1 in 20 restarts over the limit": _lognormal,
            "two kinds of restarts, the slow ones at the limit": _two_kinds,
            "sawtooth over the restarts": _sawtooth,
            "autocorrelated, φ = 0.2": _autocorrelated(0.2),
        }
        alone = [
            Shape(f"time to ready: {name}", "null", _deciding(times), alpha=ALPHA) for name, times in nulls.items()
        ]
        curve = [
            Shape(
                f"time to ready: the median at {level:g} × the limit",
                "effect",
                _deciding(_around(level)),
                alpha=0.05 if level > 1.0 else None,
                magnitude=level,
                detect=0.99 if level >= 1.2 else None,
                curve="cold-start: median time to ready in units of the limit, 10 % scatter",
            )
            for level in (0.8, 1.0, 1.1, 1.2, 1.5)
        ]
        apart = [
            Shape(
                f"time to ready: autocorrelated, φ = {phi}",
                "apart",
                _deciding(_autocorrelated(phi)),
                why="restarts that all fall into one slow spell of the host are not independent; spread them over time",
            )
            for phi in (0.5, 0.9)
        ]
        coverage = [
            Shape(f"median over {n} restarts, both bounds", "coverage", _covering(n, 0.5), alpha=0.05)
            for n in (6, RESTARTS, 30)
        ]
        upper = Shape("p90 over 30 restarts, upper bound", "coverage", _covering(30, 0.9), alpha=0.05)
        return [*alone, *curve, *apart, *coverage, upper]


def _deciding(times: Times) -> Callable[[np.random.Generator], Status]:
    def decision(rng: np.random.Generator) -> Status:
        return decide(Harm(int(np.count_nonzero(times(rng) > 1.0)), RESTARTS), QUICK).status

    return decision


def _lognormal(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.exp(0.3 * (rng.normal(size=RESTARTS) - norm.isf(TOLERATED)))


def _two_kinds(rng: np.random.Generator) -> NDArray[np.float64]:
    """Half of them with a cold cache: these are over the limit one time in ten."""
    cold = rng.permutation(np.arange(RESTARTS) % 2 == 0)
    times = np.where(cold, 0.95, 0.4) * np.exp(rng.normal(0.0, 0.04, RESTARTS))
    return np.asarray(times)


def _sawtooth(rng: np.random.Generator) -> NDArray[np.float64]:
    """Every twentieth restart is over the limit, by turns."""
    return np.asarray(0.3 + 0.7 * ((np.arange(RESTARTS) + rng.integers(0, 20)) % 20 + 1) / 19.0, dtype=np.float64)


def _autocorrelated(phi: float) -> Times:
    def times(rng: np.random.Generator) -> NDArray[np.float64]:
        noise = rng.normal(0.0, np.sqrt(1.0 - phi**2), RESTARTS)
        noise[0] = rng.normal()
        walk = lfilter([1.0], [1.0, -phi], noise)
        return np.asarray(np.exp(0.3 * (walk - norm.isf(TOLERATED))))

    return times


def _around(level: float) -> Times:
    def times(rng: np.random.Generator) -> NDArray[np.float64]:
        return np.asarray(level * np.exp(rng.normal(0.0, 0.1, RESTARTS)))

    return times


def _covering(n: int, q: float) -> Callable[[np.random.Generator], Status]:
    truth = float(np.exp(norm.ppf(q)))

    def decision(rng: np.random.Generator) -> Status:
        found = restart_quantile(rng.lognormal(0.0, 1.0, n).tolist(), q)
        assert found.high is not None  # there are as many restarts as it takes
        above_low = q != 0.5 or (found.low is not None and found.low <= truth)
        return Status.PASS if above_low and truth <= found.high else Status.FAIL

    return decision
