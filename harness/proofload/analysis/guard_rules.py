"""What the guards of a rollout call bad, and how strictly they are read.

Requests are told apart by columns alone: arm 0 is the baseline, arm 1 the canary; copies (mirrors) serve the guard on
predictions, and no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.matching import Flags
from proofload.analysis.sequential import threshold
from proofload.records import Agreement, Outcome

ERRORS, WRONG, PREDICTIONS, VERSION, DOWN = "errors", "wrong-answers", "predictions", "version", "canary-down"
SLOWER = {"slower-p50": 0.5, "slower-p95": 0.95, "slower-p99": 0.99, "slower-tail": 0.99}
"""Guards on latency, and the quantile of the baseline that each is frozen at; the last at three times it."""
TAILS = ("slower-p99", "slower-tail")
UNTOLD = 255
"""The arm of a request of which nobody told who answered it."""
FAILED = (Outcome.ERROR, Outcome.TIMEOUT, Outcome.SHED)
TIMED = (Outcome.OK, Outcome.WRONG, Outcome.LATE, Outcome.TIMEOUT)
ANSWERED = (Outcome.OK, Outcome.WRONG, Outcome.LATE)


@dataclass(frozen=True, slots=True)
class Rules:
    """What is watched and how strictly."""

    alpha: float
    """Chance that any guard trips where there is no harm."""
    block_s: float = 1.0
    disagreement: float = 0.001
    """Tolerated share of mirrored pairs, and of version stamps, that differ."""
    slower: float = 0.2
    slower_ms: float = 1.0
    """An answer counts as slower from so much more of the baseline's quantile, and so many milliseconds, on."""
    tail_factor: float = 3.0
    """What is far slower: so many times the p99."""
    stages: int = 1
    mirrored: bool = False
    answers_checked: bool = False
    versions: tuple[int | None, int | None] = (None, None)
    """The number of the stamp that each arm is to bear; None: not known."""
    forced: Sequence[int] = ()
    """Payloads that go to the canary whatever its share."""

    @property
    def sign_guards(self) -> tuple[str, ...]:
        return (ERRORS, *((WRONG,) if self.answers_checked else ()), *SLOWER)

    @property
    def share_guards(self) -> tuple[str, ...]:
        stamped = self.versions[1] is not None
        return (*((PREDICTIONS,) if self.mirrored else ()), *((VERSION,) if stamped else ()))

    @property
    def limit(self) -> float:
        """The log e-value at which a guard trips."""
        return threshold(len(self.sign_guards) + len(self.share_guards), self.alpha)


def own_requests(rows: NDArray[np.void], forced: Sequence[int] = ()) -> NDArray[np.void]:
    """Requests of users that chance assigned: no copies, none that was never sent, none that was forced."""
    kept = (rows["mirror"] == 0) & (rows["outcome"] != Outcome.UNSENT) & (rows["arm"] != UNTOLD)
    if len(forced):
        kept &= ~np.isin(rows["payload"], np.asarray(forced))
    chosen: NDArray[np.void] = rows[kept]
    return chosen


def by_stamp(rows: NDArray[np.void], versions: tuple[int | None, int | None]) -> NDArray[np.void]:
    """The same requests, with the arms that their stamps tell: for a router that does not say who answered."""
    baseline, canary = versions
    told = rows.copy()
    own = told["mirror"] == 0
    stamps = told["version"]
    differ = canary is not None and baseline is not None and canary != baseline
    arm = np.where(stamps == canary, 1, np.where(stamps == baseline, 0, UNTOLD)) if differ else UNTOLD
    told["arm"] = np.where(own, arm, told["arm"])
    return told


def flags(
    rows: NDArray[np.void], guard: str, slower_ns: Mapping[str, int], versions: tuple[int | None, int | None]
) -> tuple[Flags, Flags]:
    """Which requests a guard counts, and which of them are bad in its eyes."""
    outcome = rows["outcome"]
    if guard == ERRORS:
        return np.ones(len(rows), np.bool_), np.isin(outcome, FAILED)
    if guard == WRONG:
        return np.isin(outcome, ANSWERED), (outcome == Outcome.WRONG) & ~_mislabelled(rows, versions)
    late = rows["done_ns"] - rows["intended_ns"] > slower_ns.get(guard, 0)
    return np.isin(outcome, TIMED), late | (outcome == Outcome.TIMEOUT)


def pairs(rows: NDArray[np.void]) -> tuple[int, int]:
    """(pairs whose predictions differ, pairs compared): originals of the baseline and their copies."""
    copies = rows[(rows["mirror"] == 1) & (rows["agrees"] != Agreement.NOT_COMPARED)]
    if not len(copies):
        return 0, 0
    originals = rows[(rows["mirror"] == 0) & (rows["arm"] == 0)]
    key = (copies["phase"].astype(np.int64) << 40) + copies["seq"]
    there = (originals["phase"].astype(np.int64) << 40) + originals["seq"]
    copies = copies[np.isin(key, there)]
    return int(np.count_nonzero(copies["agrees"] == Agreement.DIFFERENT)), len(copies)


def stamps(answers: NDArray[np.void], expected: int | None) -> tuple[int, int]:
    """(answers stamped otherwise than expected, answers). One without a stamp is stamped otherwise."""
    if expected is None:
        return 0, 0
    return int(np.count_nonzero(answers["version"] != expected)), len(answers)


def _mislabelled(rows: NDArray[np.void], versions: tuple[int | None, int | None]) -> Flags:
    """Answers that are wrong for their stamp, whatever they predict."""
    found = np.zeros(len(rows), np.bool_)
    for arm, expected in enumerate(versions):
        if expected is not None:
            found |= (rows["arm"] == arm) & (rows["version"] != expected)
    return found
