"""Does goodput at the peak fall below 90 % of what it was at saturation? Eight blocks of a second against five."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.goodput import goodput_blocks, ratio_of_means
from proofload.clock import NS_PER_S
from proofload.records import Status
from proofload.selftest import Shape
from proofload.verdict.peak import goodput_check

LIMIT = 0.9
ALPHA = 0.001
ALPHA_FAIL = 0.001 / 8 / 2
"""What the scenario gives this check, and this check each of its two references."""
ALPHA_PASS = 0.01
HOLD, PLATEAU = 8, 5
Make = Callable[[np.random.Generator, int], NDArray[np.float64]]


def create() -> Cliff:
    return Cliff()


class Cliff:
    scenario = "peak-10x"
    decides = "goodput at the peak falls below 90 % of what it was at saturation"

    def shapes(self) -> Sequence[Shape]:
        harmless = {
            "even": _even(0.03),
            "noisy": _even(0.10),
            "autocorrelated": _autocorrelated,
            "stalling": _stalling,
            "bursty": _bursty,
            "drifting": _drifting,
            "counted from completions": _completions,
        }
        nulls = [Shape(f"cliff: {name}", "null", _deciding(make, 1.0), alpha=ALPHA) for name, make in harmless.items()]
        nulls.append(Shape("cliff: exactly at the limit", "null", _deciding(_even(0.05), LIMIT), alpha=ALPHA))
        effects = [
            Shape(
                f"cliff: keeps {ratio:.0%}",
                "effect",
                _deciding(_even(0.05), ratio),
                alpha=ALPHA_PASS,
                magnitude=(1.0 - ratio) / (1.0 - LIMIT),
                detect=0.99 if ratio <= 0.4 else None,
                curve="loss of goodput at the peak (5 % noise)",
            )
            for ratio in (0.85, 0.8, 0.7, 0.6, 0.5, 0.4, 0.2, 0.0)
        ]
        effects.append(
            Shape(
                "cliff: keeps 10 % of a noisy goodput",
                "effect",
                _deciding(_even(0.1), 0.1),
                alpha=ALPHA_PASS,
                magnitude=9.0,
                detect=0.99,
            )
        )
        covered = [
            Shape("cliff: interval, even", "coverage", _covering(_even(0.05)), alpha=2 * ALPHA_PASS),
            Shape("cliff: interval, noisy", "coverage", _covering(_even(0.1)), alpha=2 * ALPHA_PASS),
            Shape("cliff: interval, from completions", "coverage", _covering(_completions), alpha=2 * ALPHA_PASS),
        ]
        apart = Shape(
            "cliff: the machine itself slows by a fifth",
            "apart",
            _deciding(_even(0.05), 0.8),
            why="a target that slows because its machine does is slower; compare with a run at another time",
        )
        return (*nulls, *effects, *covered, apart)


def _deciding(make: Make, ratio: float) -> Callable[[np.random.Generator], Status]:
    def decide(rng: np.random.Generator) -> Status:
        above, below = make(rng, HOLD) * ratio, make(rng, PLATEAU)
        found = ratio_of_means(above, below, alpha_fail=ALPHA_FAIL, alpha_pass=ALPHA_PASS)
        return goodput_check({"saturation": found}, LIMIT).status

    return decide


def _covering(make: Make) -> Callable[[np.random.Generator], Status]:
    def decide(rng: np.random.Generator) -> Status:
        found = ratio_of_means(make(rng, HOLD), make(rng, PLATEAU), alpha_fail=ALPHA_FAIL, alpha_pass=ALPHA_PASS)
        return Status.PASS if found is not None and found.low <= 1.0 <= found.high else Status.FAIL

    return decide


def _even(spread: float) -> Make:
    def make(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
        return np.asarray(np.maximum(0.0, 25.0 * rng.normal(1.0, spread, n)), dtype=np.float64)

    return make


def _autocorrelated(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Neighbouring seconds are alike (correlation 0.5)."""
    noise = rng.normal(0.0, 0.06, n + 20)
    for index in range(1, len(noise)):
        noise[index] += 0.5 * noise[index - 1]
    return np.asarray(np.maximum(0.0, 25.0 * (1.0 + noise[20:])), dtype=np.float64)


def _stalling(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """One second in twenty loses up to all of itself."""
    kept: NDArray[np.float64] = np.where(rng.random(n) < 0.05, rng.random(n), 1.0)
    return _even(0.03)(rng, n) * kept


def _bursty(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    return np.asarray(rng.gamma(10.0, 2.5, n))


def _drifting(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """A machine that slows and recovers by 6 % over some ten seconds."""
    drift: NDArray[np.float64] = 1.0 + 0.06 * np.sin(rng.random() * 6.3 + np.arange(n) * 0.6)
    return np.asarray(_even(0.03)(rng, n) * drift)


def _completions(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Answers one after the other, each taking about 40 ms."""
    done = np.cumsum(rng.gamma(20.0, 0.002, 30 * (n + 2)))
    instants = (done[done < n + 1.5] * NS_PER_S).astype(np.int64)
    return goodput_blocks(instants, NS_PER_S, (n + 1) * NS_PER_S)
