"""How much worse than the baseline the canary may still be: what a guard that did not trip leaves open.

The canary's share of bad answers minus the baseline's, the baseline's standardised to the canary's mix of stages; an
upper bound of the difference from exact bounds of both (Clopper and Pearson, 1934), put together by their distances
from the estimates (Zou and Donner, 2008). Answers of one block of time, and those of one user, are not independent:
each bound rests on the effective number, by whichever of the two is the fewer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from proofload.analysis.guard_rules import SLOWER, TAILS, flags
from proofload.analysis.guards import MORE, GuardWatch
from proofload.clock import NS_PER_S

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_FAR = 1000.0
_HALVINGS = 8


@dataclass(frozen=True, slots=True)
class Share:
    """A share of bad answers, and how many independent answers it is worth."""

    value: float
    effective: float


@dataclass(frozen=True, slots=True)
class Excess:
    """By how much more of the canary's answers are bad. `upper`: one-sided, None without data."""

    canary: float
    baseline: float
    upper: float | None
    confidence: float
    factor: float | None
    """How many times as much data would bring `upper` below the margin if the shares stay; None: no such factor."""
    of_spells: bool = False
    """Whether not bad answers were counted, but those that begin a spell of them."""


def excess(
    bad: NDArray[np.bool_],
    on_canary: NDArray[np.bool_],
    window: Ints,
    block: Ints,
    user: Ints,
    *,
    margin: float,
    confidence: float,
) -> Excess:
    """From answers, their stage (`window`), their block of time and their user (below 0: nobody known)."""
    if not on_canary.any():
        return Excess(0.0, 0.0, None, confidence, None)
    off = ~on_canary
    size = int(window.max()) + 1
    canary_n = np.bincount(window[on_canary], minlength=size)
    baseline_n = np.bincount(window[off], minlength=size)
    weight = canary_n[window[off]] / np.maximum(1, baseline_n[window[off]])
    there = _Side.of(bad[on_canary], np.ones(int(canary_n.sum())), block[on_canary], user[on_canary])
    beside = _Side.of(bad[off], weight, block[off], user[off])
    # What befalls both in the same block takes itself off the difference.
    size = max(len(there.by_block), len(beside.by_block))
    apart = np.pad(there.by_block, (0, size - len(there.by_block)))
    apart = apart - np.pad(beside.by_block, (0, size - len(beside.by_block)))
    both = there.among_blocks + beside.among_blocks
    alike = min(1.0, float(np.dot(apart, apart)) / both) if both > 0 else 1.0
    # A stage without any answer of the baseline: as if it had answered all well.
    compared = float(canary_n[baseline_n > 0].sum() / canary_n.sum())
    baseline = beside.share(alike, confidence)
    return _bounded(
        there.share(alike, confidence), Share(baseline.value * compared, baseline.effective), margin, confidence
    )


def tail_excess(
    bad: NDArray[np.bool_],
    on_canary: NDArray[np.bool_],
    window: Ints,
    block: Ints,
    user: Ints,
    *,
    margin: float,
    longest: float,
    confidence: float,
) -> Excess:
    """For answers slower than nearly all, in order of time. A server that stalls for a moment answers many in a row
    late: those are one. So spells are held against the margin, and all slow answers against `longest`, a larger one."""
    begins = np.zeros(len(bad), np.bool_)
    for arm in (on_canary, ~on_canary):
        own = bad[arm]
        begins[arm] = own & ~np.concatenate([np.zeros(min(1, len(own)), np.bool_), own[:-1]])
    every = excess(bad, on_canary, window, block, user, margin=longest, confidence=confidence)
    if every.upper is None or every.upper >= longest:
        return every
    spells = excess(begins, on_canary, window, block, user, margin=margin, confidence=confidence)
    return replace(spells, of_spells=True)


def disagreement(hits: Ints, trials: Ints, *, margin: float, confidence: float) -> Excess:
    """From answers that differ, block by block: nothing is to be taken off."""
    n, k = int(trials.sum()), int(hits.sum())
    if not n:
        return Excess(0.0, 0.0, None, confidence, None)
    share = k / n
    scatter = float(((hits - share * trials) ** 2).sum())
    effect = max(1.0, scatter / (n * share * (1 - share))) if 0 < share < 1 else 1.0
    return _bounded(Share(share, n / effect), Share(0.0, 0.0), margin, confidence)


def excesses(
    watch: GuardWatch, rows: NDArray[np.void], margins: Mapping[str, float], confidence: float, *, longest: float
) -> dict[str, Excess]:
    """Of each guard in `margins`, over the blocks that were counted. `rows`: users' requests, in order of time.

    Guards on latency leave out stages in which the canary carried most of the load: it may be slower for that alone.
    """
    found = {
        guard: disagreement(
            *np.array([block.counts[guard] for block in watch.blocks], np.int64).reshape(-1, 2).T,
            margin=margin,
            confidence=confidence,
        )
        for guard, margin in margins.items()
        if guard in watch.rules.share_guards
    }
    starts = np.array([block.start_ns for block in watch.blocks], np.int64)
    if not len(starts) or not len(rows):
        return found | {guard: Excess(0.0, 0.0, None, confidence, None) for guard in margins if guard not in found}
    at = np.searchsorted(starts, rows["intended_ns"], "right") - 1
    inside = (at >= 0) & (rows["intended_ns"] < starts[at] + round(watch.rules.block_s * NS_PER_S))
    own, at = rows[inside], at[inside].astype(np.int64)
    window = np.array([block.window for block in watch.blocks], np.int64)[at]
    user = watch.users[own["payload"]] if len(watch.users) else np.full(len(own), -1, np.int64)
    arm = own["arm"] == 1
    size = int(window.max(initial=0)) + 1
    alike = np.bincount(window[arm], minlength=size) <= MORE * np.bincount(window[~arm], minlength=size)
    alike = alike[window] if alike[window].any() else np.ones(len(own), np.bool_)
    for guard in watch.rules.sign_guards:
        if guard in margins:
            counted, bad = flags(own, guard, watch.reference.slower_ns, watch.rules.versions)
            usual = watch.reference.usual.get(guard)
            if usual is not None and len(usual):
                counted = counted & ~((user >= 0) & usual[user])
            if guard in SLOWER:
                counted = counted & alike
            kept = (bad[counted], arm[counted], window[counted], at[counted], user[counted])
            found[guard] = (
                tail_excess(*kept, margin=margins[guard], longest=longest, confidence=confidence)
                if guard in TAILS
                else excess(*kept, margin=margins[guard], confidence=confidence)
            )
    return found


@dataclass(frozen=True, slots=True)
class _Side:
    """One version's answers: their share of bad ones, and how they scatter."""

    value: float
    size: float
    alone: float
    """Variance of the share, were all answers independent; then that of blocks, and of users."""
    by_block: Floats
    by_user: Floats
    clusters: int

    @property
    def among_blocks(self) -> float:
        return float(np.dot(self.by_block, self.by_block))

    @staticmethod
    def of(bad: NDArray[np.bool_], weight: Floats, block: Ints, user: Ints) -> _Side:
        if not len(bad) or not weight.sum():
            return _Side(0.0, 0.0, 0.0, np.zeros(0), np.zeros(0), 0)
        weight = weight / weight.sum()
        value = float(np.dot(weight, bad))
        rest = weight * (bad - value)
        known = user >= 0
        return _Side(
            value=value,
            size=1.0 / float(np.dot(weight, weight)),
            alone=float(np.dot(rest, rest)),
            by_block=np.bincount(block, weights=rest).astype(np.float64),
            by_user=np.concatenate([np.bincount(user[known], weights=rest[known]), rest[~known]]),
            clusters=int(np.count_nonzero(np.bincount(block))),
        )

    def share(self, alike: float, confidence: float) -> Share:
        """`alike`: what is left of the scatter of blocks when the other version's is taken off."""
        if self.alone <= 0:
            return Share(self.value, self.size)
        users = float(np.dot(self.by_user, self.by_user)) / self.alone
        effect = max(1.0, self.among_blocks * alike / self.alone, users)
        # It was estimated from so few: Student's t in place of the normal quantile, with half the freedom (wary).
        t = float(special.stdtrit(max(1, (self.clusters - 1) // 2), confidence))
        return Share(self.value, self.size / effect * (float(special.ndtri(confidence)) / t) ** 2)


def _bounded(there: Share, beside: Share, margin: float, confidence: float) -> Excess:
    upper = _upper(there, beside, 1.0, confidence)
    if upper < margin:
        return Excess(there.value, beside.value, upper, confidence, 1.0)
    low, high = 0.0, math.log(_FAR)
    if _upper(there, beside, _FAR, confidence) >= margin:
        return Excess(there.value, beside.value, upper, confidence, None)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _upper(there, beside, math.exp(middle), confidence) < margin else (middle, high)
    return Excess(there.value, beside.value, upper, confidence, math.exp(high))


def _upper(there: Share, beside: Share, factor: float, confidence: float) -> float:
    n, m = there.effective * factor, beside.effective * factor
    high = (
        1.0 if there.value >= 1 else float(special.betaincinv(there.value * n + 1, (1 - there.value) * n, confidence))
    )
    low = 0.0
    if beside.value > 0 and m > 0:
        low = float(special.betaincinv(beside.value * m, (1 - beside.value) * m + 1, 1 - confidence))
    low = min(low, beside.value)
    return there.value - beside.value + math.hypot(max(0.0, high - there.value), beside.value - low)
