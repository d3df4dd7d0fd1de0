"""One version after a switch against another before it: shares of bad requests, second by second.

Before and after are not the same moment, so what is compared is counted by blocks of time, and the spread over blocks,
each side's own, is what a difference is measured by. "Bad" is, by guard: failed; answered wrongly; slower than a
median that is still tolerated (of which half may be, by the meaning of a median); far slower than usual.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.arm_difference import NOTHING, Difference, as_shares

FAILURES, WRONG, SLOWER, TAIL = "failures", "wrong-answers", "latency", "tail"
GUARDS = (FAILURES, WRONG, SLOWER, TAIL)
TAIL_FACTOR = 3.0
"""Far slower: three times the p99 before, and a millisecond."""
_QUICK = 4.0
_LARGE = 40.0
"""Guards on rare events are quickest about so many margins: a beginning, and an outage."""

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_FEW = 2
"""Bad blocks, from which on their own spread tells how they vary."""


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests of one side: latency in ms (nan: none that counts), failed, answered wrongly, block of time from 0."""

    latency_ms: NDArray[np.float64]
    failed: Flags
    wrong: Flags
    block: Ints


@dataclass(frozen=True, slots=True)
class Limits:
    """How slow is slower, and by how much more of the requests may be bad."""

    slower_ms: float
    far_ms: float
    failed: float
    tail: float


@dataclass(frozen=True, slots=True)
class Counts:
    """By block of time: requests, and how many of them were bad."""

    n: Ints
    bad: Ints

    def until(self, blocks: int) -> Counts:
        return Counts(self.n[:blocks], self.bad[:blocks])


@dataclass(frozen=True, slots=True)
class Guarded:
    """One guard: the counts before and after, the margin, and the effect it is quickest about."""

    before: Counts
    after: Counts
    margin: float
    taus: tuple[float, ...]
    """Effects that looks are quickest about, small and large."""
    rare: bool = True
    """What is counted is rare where nothing is wrong."""

    def difference(self, blocks: int | None = None) -> Difference:
        """The share after (of so many blocks; None: all) less that before."""
        after = self.after if blocks is None else self.after.until(blocks)
        return shares_difference(self.before, after, rare=self.rare)


def limits_from(before: Requests, *, slower: float, slower_ms: float, failed: float, tail: float) -> Limits:
    """Frozen before the switch. `slower` and `slower_ms`: what a median may be slower by."""
    latency = before.latency_ms[np.isfinite(before.latency_ms)]
    if not len(latency):
        return Limits(np.inf, np.inf, failed, tail)
    middle, high = np.quantile(latency, [0.5, 0.99])
    return Limits((1.0 + slower) * float(middle) + slower_ms, TAIL_FACTOR * float(high) + 1.0, failed, tail)


def guards(before: Requests, after: Requests, limits: Limits) -> Mapping[str, Guarded]:
    """Every guard's counts. Blocks without a request count for nothing."""

    def one(name: str, margin: float | None) -> Guarded:
        then, now = (_counts(side, *_bad(side, name, limits)) for side in (before, after))
        if margin is not None:
            return Guarded(then, now, margin, (_QUICK * margin, _LARGE * margin))
        usual = float(then.bad.sum()) / max(int(then.n.sum()), 1)
        half = max(float(f"{0.5 - usual:.3g}"), 0.01)
        return Guarded(then, now, half, (half,), rare=False)

    return {
        FAILURES: one(FAILURES, limits.failed),
        WRONG: one(WRONG, limits.failed),
        SLOWER: one(SLOWER, None),
        TAIL: one(TAIL, limits.tail),
    }


def shares_difference(before: Counts, after: Counts, *, rare: bool = True) -> Difference:
    """The share after less that before, with the spread over blocks of time, or that of chance where it is larger.

    Where bad ones are `rare`, a side that had one bad block at most has not shown how they vary: it is taken to
    have had one more, as bad as bad blocks of either side are (Agresti and Caffo's addition, of blocks).
    """
    shares, variance, blocks = [], 0.0, []
    as_bad = _bad_block(before, after) if rare else 0.0
    for side in (before, after):
        there = side.n > 0
        n, bad = side.n[there].astype(np.float64), side.bad[there].astype(np.float64)
        if len(n) < 2:
            return NOTHING
        total = float(n.sum())
        share = float(bad.sum()) / total
        over_blocks = float(np.sum((bad - share * n) ** 2)) / total**2 * len(n) / (len(n) - 1)
        seen = int(np.count_nonzero(bad))
        wary = (seen + 1.0) / (len(n) + 2.0)
        unseen = as_bad**2 * wary * (1.0 - wary) / (len(n) + 2.0) if seen < _FEW else 0.0
        variance += max(over_blocks, unseen, share * (1.0 - share) / total)
        shares.append(share)
        blocks.append(len(n))
    found = Difference(
        effect=shares[1] - shares[0],
        variance=variance,
        freedom=sum(blocks) - 2,
        users=(int(before.n.sum()), int(after.n.sum())),
        baseline=shares[0],
    )
    return as_shares(found)


def _bad_block(before: Counts, after: Counts) -> float:
    """The share of bad requests in a block that has any."""
    n, bad = np.concatenate([before.n, after.n]), np.concatenate([before.bad, after.bad])
    some = bad > 0
    return float(bad[some].sum() / n[some].sum()) if some.any() else 0.0


def _bad(side: Requests, name: str, limits: Limits) -> tuple[Flags, Flags]:
    """(counted, bad)"""
    everyone = np.ones(len(side.block), np.bool_)
    if name == FAILURES:
        return everyone, side.failed
    if name == WRONG:
        return everyone, side.wrong
    timed = np.isfinite(side.latency_ms)
    limit = limits.slower_ms if name == SLOWER else limits.far_ms
    return timed, timed & (side.latency_ms > limit)


def _counts(side: Requests, counted: Flags, bad: Flags) -> Counts:
    length = int(side.block.max()) + 1 if len(side.block) else 0
    return Counts(np.bincount(side.block[counted], minlength=length), np.bincount(side.block[bad], minlength=length))
