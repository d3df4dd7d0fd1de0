"""Wrong answers: are they somebody else's? "Fail" is here: cross-talk is named."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import poisson

from proofload.analysis.swapped import Answered, trace
from proofload.records import Status
from proofload.selftest import Shape

ALPHA = 0.001
ANSWERS, PAYLOADS, BURST = 1_600, 800, 16
RTOL = 1e-4
GAP_NS, SPAN_NS = 40_000_000, 8_000_000


def create() -> StrayTrial:
    return StrayTrial()


class StrayTrial:
    scenario = "skew"
    decides = "answers go to the wrong callers"

    def shapes(self) -> Sequence[Shape]:
        return (
            Shape("a twentieth is wrong, at random", "null", lambda rng: _decide(rng, 0.0, 0.05), alpha=ALPHA),
            Shape("a fifth is wrong, at random", "null", lambda rng: _decide(rng, 0.0, 0.2), alpha=ALPHA),
            Shape("right for an absent one", "null", lambda rng: _decide(rng, 0.0, 0.0, away=0.05), alpha=ALPHA),
            *(
                Shape(
                    f"swapped in {share:.0%} of bursts",
                    "effect",
                    lambda rng, share=share: _decide(rng, share, 0.0),  # type: ignore[misc]
                    magnitude=share,
                    detect=0.99 if share >= 0.1 else None,
                    curve="bursts with a swap, 100 bursts of 16",
                )
                for share in (0.01, 0.02, 0.05, 0.1, 0.2)
            ),
        )  # fmt: skip


def _decide(rng: np.random.Generator, swaps: float, noise: float, *, away: float = 0.0) -> Status:
    expected = np.sort(rng.random(PAYLOADS))
    payload = rng.integers(0, PAYLOADS, ANSWERS)
    begin = np.arange(ANSWERS) // BURST * GAP_NS + np.arange(ANSWERS) % BURST * 250_000
    said = expected[payload].copy()
    for burst in np.flatnonzero(rng.random(ANSWERS // BURST) < swaps).tolist():
        one, other = burst * BURST + rng.choice(BURST, 2, replace=False)
        said[[one, other]] = said[[other, one]]
    random = rng.random(ANSWERS) < noise
    said[random] = rng.random(int(random.sum()))
    elsewhere = rng.random(ANSWERS) < away
    said[elsewhere] = expected[rng.integers(0, PAYLOADS, int(elsewhere.sum()))]
    wrong = np.abs(said - expected[payload]) > RTOL * expected[payload]
    answers = Answered(payload, begin, begin + SPAN_NS, wrong, said)
    ids = [str(number) for number in range(PAYLOADS)]
    found = trace(answers, expected, {}, users=np.full(PAYLOADS, -1), rtol=RTOL, ids=ids)
    many = found.in_flight >= max(2, 0.5 * found.wrong)
    sure = float(poisson.sf(found.in_flight - 1, found.in_flight_by_chance)) < ALPHA
    return Status.FAIL if many and sure else Status.INCONCLUSIVE
