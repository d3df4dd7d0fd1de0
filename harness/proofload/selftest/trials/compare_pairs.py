"""Is one option slower than another? Twelve interleaved pairs of lifetimes, as `proofload compare` makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.pairs import estimate, noise_floor, sign_flips
from proofload.records import Status
from proofload.selftest import Shape
from proofload.verdict.comparison import Stakes, Standing, stand

PAIRS = 12
MARGIN = 0.05
ALPHA = 0.01
"""Of a comparison as a whole: of its three metrics together, and of both ends of their intervals."""
METRICS = 3
Floats = NDArray[np.float64]
Make = Callable[[np.random.Generator], tuple[Floats, Floats]]
"""The logarithm of what each lifetime showed, of two targets that are the same, pair by pair."""


def create() -> ComparePairs:
    return ComparePairs()


class ComparePairs:
    scenario = "load"
    decides = "an option is slower than another (`compare`)"

    def shapes(self) -> Sequence[Shape]:
        same: dict[str, Make] = {
            "quiet (1 %)": _noise(0.01),
            "usual (3 %)": _noise(0.03),
            "loud (15 %)": _noise(0.15),
            "heavy tails": _heavy_tails,
            "a machine that drifts": _drifting,
            "a machine that slows half-way": _slowing,
            "one lifetime in ten disturbed": _disturbed,
            "two memory layouts": _two_modes,
            "skewed": _skewed,
        }
        nulls = [
            Shape(f"pairs: {name}, a target with itself", "null", _deciding(make, 0.0, Standing.WORSE, Standing.BETTER),
                  alpha=ALPHA)
            for name, make in same.items()
        ]  # fmt: skip
        edge = [
            Shape(f"pairs: {name}, worse by just the margin", "null", _deciding(make, MARGIN), alpha=ALPHA / 2)
            for name, make in same.items()
            if name in {"quiet (1 %)", "usual (3 %)", "one lifetime in ten disturbed", "a machine that drifts"}
        ]
        effects = [
            Shape(
                f"pairs: {100 * slower:g} % slower",
                "effect",
                _deciding(_noise(0.025), slower),
                alpha=ALPHA / 2,
                magnitude=slower / MARGIN,
                detect=0.9 if slower >= 0.15 else None,
                curve="slower option (lifetimes vary by 2.5 %)",
            )
            for slower in (0.055, 0.07, 0.09, 0.11, 0.13, 0.15, 0.2, 0.3)
        ]
        disturbed = Shape(
            "pairs: 15 % slower, one lifetime in ten disturbed",
            "effect",
            _deciding(_disturbed, 0.15),
            alpha=ALPHA / 2,
            magnitude=0.15 / MARGIN,
        )
        covered = [
            Shape(f"pairs: interval (nominal 1 %), {name}", "coverage", _covering(make), alpha=1.25 * ALPHA)
            for name, make in same.items()
            if name in {"quiet (1 %)", "loud (15 %)", "a machine that drifts"}
        ]
        return (*nulls, *edge, *effects, disturbed, *covered)


def decided(baseline: Floats, candidate: Floats) -> Standing:
    """As a comparison decides about one of its metrics."""
    logs = (candidate - baseline).tolist()
    floor = noise_floor([baseline.tolist(), candidate.tolist()], PAIRS)
    stakes = Stakes(MARGIN, floor or 0.0, ALPHA / METRICS, ALPHA / 2)
    return stand(estimate(logs, alpha=stakes.alpha), sign_flips(logs), stakes).standing


def _deciding(make: Make, slower: float, *wrong: Standing) -> Callable[[np.random.Generator], Status]:
    failing = wrong or (Standing.WORSE,)

    def decide(rng: np.random.Generator) -> Status:
        baseline, candidate = make(rng)
        standing = decided(baseline, candidate + np.log1p(slower))
        if standing in failing:
            return Status.FAIL
        return Status.PASS if standing in {Standing.EQUIVALENT, Standing.BETTER} else Status.INCONCLUSIVE

    return decide


def _covering(make: Make) -> Callable[[np.random.Generator], Status]:
    def decide(rng: np.random.Generator) -> Status:
        baseline, candidate = make(rng)
        found = estimate((candidate - baseline).tolist(), alpha=ALPHA)
        return Status.PASS if found is not None and found.low <= 0.0 <= found.high else Status.FAIL

    return decide


def _noise(spread: float) -> Make:
    return lambda rng: (rng.normal(0.0, spread, PAIRS), rng.normal(0.0, spread, PAIRS))


def _heavy_tails(rng: np.random.Generator) -> tuple[Floats, Floats]:
    return 0.03 * rng.standard_t(3, PAIRS), 0.03 * rng.standard_t(3, PAIRS)


def _skewed(rng: np.random.Generator) -> tuple[Floats, Floats]:
    """A lifetime is never much faster than usual, and now and then much slower."""
    return rng.exponential(0.05, PAIRS), rng.exponential(0.05, PAIRS)


def _disturbed(rng: np.random.Generator) -> tuple[Floats, Floats]:
    def one() -> Floats:
        blow = rng.uniform(0.2, 0.8, PAIRS) * (rng.random(PAIRS) < 0.1)
        return np.asarray(rng.normal(0.0, 0.02, PAIRS) + blow)

    return one(), one()


def _two_modes(rng: np.random.Generator) -> tuple[Floats, Floats]:
    def one() -> Floats:
        mode = np.asarray(0.08 * rng.integers(0, 2, PAIRS), dtype=np.float64)
        return rng.normal(0.0, 0.01, PAIRS) + mode

    return one(), one()


def _drifting(rng: np.random.Generator) -> tuple[Floats, Floats]:
    """A random walk from lifetime to lifetime, in ABBA order."""
    return _in_turn(np.cumsum(rng.normal(0.0, 0.03, 2 * PAIRS)) + rng.normal(0.0, 0.01, 2 * PAIRS))


def _slowing(rng: np.random.Generator) -> tuple[Floats, Floats]:
    since = rng.integers(1, 2 * PAIRS)
    step = np.asarray(0.25 * (np.arange(2 * PAIRS) >= since), dtype=np.float64)
    return _in_turn(step + rng.normal(0.0, 0.02, 2 * PAIRS))


def _in_turn(row: Floats) -> tuple[Floats, Floats]:
    """A row of lifetimes dealt out ABBA."""
    pairs = row.reshape(PAIRS, 2)
    swapped = np.arange(PAIRS) % 2
    places = np.arange(PAIRS)
    return pairs[places, swapped], pairs[places, 1 - swapped]
