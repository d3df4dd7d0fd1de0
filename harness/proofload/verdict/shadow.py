"""What a shadow shows: does it agree, is it as fast and as sound, and do the users notice it at all?

Three comparisons, each a difference with one-sided bounds against a tolerance:

- answers of the shadow against those of the primary to the same requests, mirrored in the same blocks of time;
- the users' requests in blocks that were mirrored against blocks that were not, which alternate.

The unit is the block of time: requests of one block share what befalls it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.arm_difference import Shown
from proofload.analysis.effective import design_effect
from proofload.analysis.rule import Ruling as ShareRuling
from proofload.analysis.rule import holds
from proofload.verdict.ab_test import Look, Question, at_the_end
from proofload.verdict.experiment import three_figures

TAIL_FACTOR = 3.0
"""An answer is far slower from three times the other side's p99 on."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What is not harm yet."""

    slower: float = 0.2
    slower_ms: float = 1.0
    """A median may be slower by this share of the other's, and by so many milliseconds."""
    tail: float = 0.005
    """So much more of the answers may be far slower."""
    failed: float = 0.005
    """So much more of the requests may fail."""


@dataclass(frozen=True, slots=True)
class Side:
    """Requests of one side: latency in ms (of those that were answered or timed out), failed or not, block of time."""

    latency_ms: Floats
    latency_block: Ints
    failed: Flags
    wrong: Flags
    """Answered, and not as expected."""
    block: Ints


@dataclass(frozen=True, slots=True)
class Compared:
    """One side against the other: medians, far slower answers, failures, wrong answers."""

    median: Look
    tail: Look
    failures: Look
    wrong: Look
    far_ms: float
    """From which latency an answer is far slower."""


def compared(
    usual: Side,
    other: Side,
    tolerance: Tolerance,
    *,
    alpha_fail: float,
    alpha_pass: float,
    look: Callable[[Shown, Question], Look] = at_the_end,
) -> Compared:
    """Is `other` worse than `usual` by more than is tolerated? `alpha_fail` is that of each of the comparisons.

    `look` is `looked_at_now` where it is looked at again and again.
    """
    latency, arm, block = _joined(usual.latency_ms, usual.latency_block, other.latency_ms, other.latency_block)
    middle = float(np.median(usual.latency_ms)) if len(usual.latency_ms) else 0.0
    far_ms = _far(usual.latency_ms)
    failed, failed_arm, failed_block = _joined(usual.failed, usual.block, other.failed, other.block)
    wrong, _, _ = _joined(usual.wrong, usual.block, other.wrong, other.block)

    def asked(values: NDArray[Any], arm: Ints, block: Ints, margin: float, *, shares: bool) -> Look:
        shown = Shown(values.astype(np.float64), arm, np.arange(len(values)), block)
        question = Question(margin, "lower", alpha_fail, alpha_pass, medians=not shares, shares=shares)
        return look(shown, question)

    return Compared(
        median=asked(latency, arm, block, three_figures(tolerance.slower * middle + tolerance.slower_ms), shares=False),
        tail=asked(latency > far_ms, arm, block, tolerance.tail, shares=True),
        failures=asked(failed, failed_arm, failed_block, tolerance.failed, shares=True),
        wrong=asked(wrong, failed_arm, failed_block, tolerance.failed, shares=True),
        far_ms=far_ms,
    )


def agreement(different: Flags, tolerated: float, *, alpha_fail: float, alpha_pass: float) -> ShareRuling:
    """Pairs of answers to the same request, in order of time: at most the share `tolerated` may differ.

    With no difference seen, 4,603 pairs show at most 0.1 %, 459 at most 1 % (99 % confidence).
    """
    effect = design_effect(different) if len(different) else 1.0
    count = int(np.count_nonzero(different))
    return holds(
        count, len(different), 1.0 - tolerated, effect=effect, confidence=1.0 - alpha_pass, alpha_fail=alpha_fail
    )


def _far(latency_ms: Floats) -> float:
    return TAIL_FACTOR * float(np.quantile(latency_ms, 0.99)) + 1.0 if len(latency_ms) else np.inf


def _joined(
    usual: NDArray[np.generic], usual_block: Ints, other: NDArray[np.generic], other_block: Ints
) -> tuple[Floats, Ints, Ints]:
    values = np.concatenate([usual, other]).astype(np.float64)
    arm = np.concatenate([np.zeros(len(usual), np.int64), np.ones(len(other), np.int64)])
    return values, arm, np.concatenate([usual_block, other_block])
