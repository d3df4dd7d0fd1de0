"""Where the warm-up ends: a change point in the first fifth, if there is one.

The stretch is cut into equal blocks of requests; a block's level is the mean logarithm of latency,
with requests that did not end ok standing at the worst latency seen. The statistic is the largest
standardised drop from the first c blocks to the rest, c up to a fifth. Blocks are correlated, so they are not
shuffled: the same statistic is computed at every rotation of the run, and the start must stand out among
them (at most a share ALPHA as large). A bad stretch that comes again later is therefore never called
warm-up, and on a run without any the false-positive rate is ALPHA, whatever the correlation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.report.numbers import short

ALPHA = 0.01
FIRST = 0.2
"""The change point is looked for in this first part."""
BLOCKS = 200
FEWEST_BLOCKS = 100
"""With fewer rotations than 1/ALPHA nothing could be significant."""
SMALLEST_BLOCK = 5
WORSE = 1.1
"""What is left out must be at least this many times slower than what follows (geometric mean)."""
OK_MARGIN = 0.01
"""What is left out may not have a better ok share than what follows, beyond this."""


@dataclass(frozen=True, slots=True)
class Warmup:
    """Leave out what is due before `cut_ns` (an instant; 0: nothing), and why."""

    cut_ns: int
    detail: str
    evidence: Mapping[str, float] = field(default_factory=dict)


def warmup_end(
    intended_ns: NDArray[np.int64], latency_ns: NDArray[np.int64], ok_mask: NDArray[np.bool_], *, alpha: float = ALPHA
) -> Warmup:
    """End of the warm-up of a stretch at one constant rate; all columns in due order.

    `latency_ns` is looked at only where `ok_mask` is True.
    """
    n = len(intended_ns)
    blocks = min(BLOCKS, max(FEWEST_BLOCKS, n // SMALLEST_BLOCK))
    if n < blocks:
        return Warmup(0, f"{n} requests are too few to tell a warm-up from chance; nothing was left out")
    if not ok_mask.any():
        return Warmup(0, "no request ended ok; nothing was left out")
    size = n // blocks
    levels = _block_levels(latency_ns, ok_mask, blocks, size)
    drops = _largest_drops(levels, round(FIRST * blocks))
    rarity = float(np.count_nonzero(drops.height >= drops.height[0])) / blocks
    if drops.height[0] <= 0.0 or rarity > alpha:
        return Warmup(0, "the start is not worse than what follows; nothing was left out", {"p_value": rarity})
    cut_blocks = int(drops.width[0])
    if not _stands_out(levels, cut_blocks, alpha):
        detail = "the start is worse, but so are other stretches of the run; nothing was left out"
        return Warmup(0, detail, {"p_value": rarity})
    before, after = levels[:cut_blocks], levels[cut_blocks:]
    ratio = float(np.exp(before.mean() - after.mean()))
    cut = cut_blocks * size
    ok_before, ok_after = float(ok_mask[:cut].mean()), float(ok_mask[cut:].mean())
    evidence = {"p_value": rarity, "slower_by": ratio, "ok_before": ok_before, "ok_after": ok_after}
    if ratio < WORSE or ok_before > ok_after + OK_MARGIN:
        return Warmup(0, "the start differs, but is not worse than what follows; nothing was left out", evidence)
    seconds = (int(intended_ns[cut]) - int(intended_ns[0])) / NS_PER_S
    return Warmup(
        int(intended_ns[cut]),
        f"the first {short(seconds)} s ({cut:,} requests) were {short(ratio)} times as slow as the rest "
        "and were left out",
        evidence,
    )


def _block_levels(
    latency_ns: NDArray[np.int64], ok_mask: NDArray[np.bool_], blocks: int, size: int
) -> NDArray[np.float64]:
    """Mean logarithm per block. Requests beyond the last whole block belong to none."""
    worst = int(np.max(latency_ns, where=ok_mask, initial=1))
    levels = np.empty(blocks)
    for block in range(blocks):  # block by block: a run's columns are large, and one logarithm of all doubles them
        rows = slice(block * size, (block + 1) * size)
        values = np.where(ok_mask[rows], latency_ns[rows], worst)
        levels[block] = np.log(np.maximum(values, NS_PER_MS // 1000)).mean()
    return levels


def _stands_out(levels: NDArray[np.float64], width: int, alpha: float) -> bool:
    """Is the level of the first `width` blocks above what stretches as long are expected to reach?"""
    stretches = (len(levels) - width) // width
    means = levels[width : width * (stretches + 1)].reshape(stretches, width).mean(axis=1)
    reach = stats.t.isf(alpha, stretches - 1) * np.std(means, ddof=1) * np.sqrt(1.0 + 1.0 / stretches)
    return bool(levels[:width].mean() > means.mean() + reach)


@dataclass(frozen=True, slots=True)
class _Drops:
    """For each rotation: the largest standardised drop, and the number of blocks before it."""

    height: NDArray[np.float64]
    width: NDArray[np.int64]


def _largest_drops(levels: NDArray[np.float64], widest: int) -> _Drops:
    n = len(levels)
    total = levels.sum()
    sums = np.concatenate(([0.0], np.cumsum(np.concatenate((levels, levels[:widest])))))
    starts = np.arange(n)[:, None]
    widths = np.arange(1, widest + 1)[None, :]
    first = sums[starts + widths] - sums[starts]
    gap = first / widths - (total - first) / (n - widths)
    scaled = gap * np.sqrt(widths * (n - widths) / n)
    best = scaled.argmax(axis=1)
    return _Drops(scaled[np.arange(n), best], best + 1)
