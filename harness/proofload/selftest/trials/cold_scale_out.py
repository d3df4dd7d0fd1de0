"""Do requests fail while a second instance joins? One joining: requests are counted, with their design effect."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from proofload.records import Status
from proofload.selftest import Shape
from proofload.verdict.cold import joined_well

ALPHA = 0.001
RATE_RPS, SINCE_S = 150, 5.6
OK_SHARE, ALPHA_PASS, ALPHA_FAIL = 0.99, 0.01, 0.001 / 5
Make = Callable[[np.random.Generator, int], NDArray[np.bool_]]
"""Which of n requests fail."""


def create() -> ScaleOut:
    return ScaleOut()


class ScaleOut:
    scenario = "cold-start"
    decides = "requests fail while a second instance joins"

    def shapes(self) -> Sequence[Shape]:
        nulls: dict[str, Make] = {
            "1 in 100 fails": _independent(0.01),
            "autocorrelated failures, 1 in 100 in all": _together(3, 0.01),
            "bursts of ten failures, 1 in 100 in all": _together(10, 0.01),
            "one stall refuses thirty": _one_burst(30),
            "repeated users who always fail": _repeated_users,
        }
        curve = [
            Shape(
                f"scale-out: {share:.0%} of the newcomer's requests fail all along",
                "effect",
                _deciding(_newcomer(share)),
                alpha=0.01,
                magnitude=share,
                detect=0.99 if share >= 0.3 else None,
                curve="cold-start: share of a newcomer's requests that fail",
            )
            for share in (0.05, 0.1, 0.2, 0.3, 0.6)
        ]
        brief = Shape(
            "scale-out: the newcomer fails for one second",
            "apart",
            _deciding(_at_first(1.0)),
            magnitude=1.0,
            why="one burst in one joining may be chance; what each restart does at first is what false-ready judges",
        )
        return [
            *(Shape(f"scale-out: {name}", "null", _deciding(make), alpha=ALPHA) for name, make in nulls.items()),
            *curve,
            brief,
        ]


def _deciding(make: Make) -> Callable[[np.random.Generator], Status]:
    def decision(rng: np.random.Generator) -> Status:
        bad = make(rng, int(rng.poisson(RATE_RPS * SINCE_S)))
        return joined_well(bad, OK_SHARE, alpha_pass=ALPHA_PASS, alpha_fail=ALPHA_FAIL).status

    return decision


def _independent(share: float) -> Make:
    return lambda rng, n: rng.random(n) < share


def _together(count: int, share: float) -> Make:
    """Runs of geometric length, `count` in the mean."""

    def make(rng: np.random.Generator, n: int) -> NDArray[np.bool_]:
        bad = np.zeros(n, np.bool_)
        for start in np.flatnonzero(rng.random(n) < share / count):
            bad[start : start + rng.geometric(1.0 / count)] = True
        return bad

    return make


def _one_burst(count: int) -> Make:
    def make(rng: np.random.Generator, n: int) -> NDArray[np.bool_]:
        bad = np.zeros(n, np.bool_)
        start = int(rng.integers(0, n - count))
        bad[start : start + count] = True
        return bad

    return make


def _repeated_users(rng: np.random.Generator, n: int) -> NDArray[np.bool_]:
    """500 users, of whom five always fail."""
    return np.asarray(rng.integers(0, 500, n) < 5)


def _newcomer(share: float) -> Make:
    """Half of the requests after the first tenth are the newcomer's."""

    def make(rng: np.random.Generator, n: int) -> NDArray[np.bool_]:
        later = np.arange(n) > n / 10
        return np.asarray(later & (rng.random(n) < 0.5) & (rng.random(n) < share))

    return make


def _at_first(seconds: float) -> Make:
    def make(rng: np.random.Generator, n: int) -> NDArray[np.bool_]:
        at = np.arange(n) * SINCE_S / n
        return np.asarray((at > 0.6) & (at < 0.6 + seconds) & (rng.random(n) < 0.5))

    return make
