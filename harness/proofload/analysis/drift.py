"""Has a feature's distribution changed, where rows cannot be joined?

The effect that is judged has a scale of its own: the largest difference between two distribution functions
(Kolmogorov and Smirnov) for numbers, total variation for categories, the difference of the shares missing for
both. PSI, Jensen–Shannon, Wasserstein and chi-square are reported beside it, PSI with what no drift at all would
give. Rows of a log follow one another, so each file counts for as many rows as its autocorrelation leaves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from proofload.analysis.feature_values import Kind, Values

FEWEST = 50
"""Effective rows on either side below which nothing is said."""
MOST_CATEGORIES = 64
_BINS = 10
_RESAMPLES = 100
_MOST_LAGS = 2_000
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Drift:
    """What one feature shows. Shares and distances 0 to 1; PSI and divergences in nats."""

    effect: float
    measure: str
    """Which of the three the effect is: "KS", "total variation" or "share missing"."""
    bias: float
    """What the effect is on average with no drift at all, by resampling the reference."""
    error: float
    """Standard error of the effect at most."""
    p_value: float
    effective: tuple[float, float]
    """Rows that the reference and the serving side are worth."""
    psi: float
    psi_by_chance: float
    """The 95th percentile of PSI with no drift, by resampling the reference."""
    divergence: float
    """Jensen–Shannon divergence."""
    wasserstein: float | None
    """In the feature's unit; None for categories."""
    chi_square_p: float


def measure(reference: Values, serving: Values, rng: np.random.Generator) -> Drift | None:
    """None where one side has no row."""
    if not len(reference) or not len(serving):
        return None
    categorical = _is_categorical(reference) or bool((serving.kind == Kind.TEXT).any())
    if categorical:
        left, right = _codes(reference, serving)
    else:
        left, right = _binned(reference, serving)
    one, other = _worth(reference, left), _worth(serving, right)
    size = int(max(left.max(), right.max())) + 1
    p, q = np.bincount(left, minlength=size) / len(left), np.bincount(right, minlength=size) / len(right)
    chance = _by_chance(p, one, other, rng)
    missing = abs(float(reference.null.mean()) - float(serving.null.mean()))
    if categorical:
        effect, name, bias = 0.5 * float(np.abs(p - q).sum()), "total variation", chance.variation
        p_value = _chi_square(p, q, one, other)
    else:
        a, b = reference.number[~reference.null], serving.number[~serving.null]
        effect, name, bias = _ks(a, b), "KS", 0.0
        p_value = float(stats.kstwobign.sf(effect * math.sqrt(_harmonic(one, other)))) if len(a) and len(b) else 1.0
    if missing > effect:
        effect, name, bias = missing, "share missing", 0.0
        p_value = min(p_value, _chi_square(*_two(reference, serving), one, other))
    return Drift(
        effect=effect,
        measure=name,
        bias=bias,
        error=0.5 / math.sqrt(max(_harmonic(one, other), _TINY)),
        p_value=p_value,
        effective=(one, other),
        psi=_psi(p, q, one, other),
        psi_by_chance=chance.psi,
        divergence=_jensen_shannon(p, q),
        wasserstein=None if categorical else _wasserstein(reference, serving),
        chi_square_p=_chi_square(p, q, one, other),
    )


def significant(p_values: Sequence[float], rate: float) -> list[bool]:
    """Which features differ at a false discovery rate of `rate` (Benjamini and Hochberg, 1995)."""
    count = len(p_values)
    ranked = sorted(range(count), key=lambda index: p_values[index])
    last = max((rank for rank, index in enumerate(ranked, 1) if p_values[index] <= rate * rank / count), default=0)
    chosen = set(ranked[:last])
    return [index in chosen for index in range(count)]


def correlation_time(values: NDArray[np.float64]) -> float:
    """By how much consecutive values count less than independent ones: 1 + 2 Σ of autocorrelations until they
    fade (Geyer's initial positive sequence, 1992), of ranks, so that no outlier hides it."""
    n = len(values)
    if n < 20:
        return 1.0
    ranks = stats.rankdata(values) - (n + 1) / 2
    power = float(np.dot(ranks, ranks))
    if power <= 0:
        return 1.0
    lags = min(n // 4, _MOST_LAGS)
    spectrum = np.fft.rfft(ranks, 1 << (2 * n - 1).bit_length())
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[1 : lags + 1] / power
    pairs = correlation[: lags // 2 * 2].reshape(-1, 2).sum(axis=1)
    faded = np.flatnonzero(pairs <= 2.0 / math.sqrt(n))
    total = float(pairs[: faded[0] if len(faded) else len(pairs)].sum())
    return max(1.0, 1.0 + 2.0 * total)


def _worth(values: Values, codes: NDArray[np.int64]) -> float:
    """Rows, less for what repeats or follows from the row before."""
    numbers = values.number[values.numeric]
    n = float(len(values))
    if len(numbers) > 0.5 * n:
        worth = n / correlation_time(numbers)
        broken = numbers[numbers != np.round(numbers)]
        if len(broken) > 0.5 * len(numbers):  # a number with decimals that comes again is the same event
            # whole ones among them are bounds and defaults, which events share: probabilities of 1, ratios of 0
            _, counts = np.unique(broken, return_counts=True)
            worth = min(worth, n * len(broken) / float(np.square(counts).sum()))
        return worth
    shares = np.bincount(codes) / n
    top = np.argsort(-shares)[:3]
    return n / max(correlation_time((codes == code).astype(float)) for code in top)


def _is_categorical(values: Values) -> bool:
    if (values.kind == Kind.TEXT).any():
        return True
    numbers = values.number[values.numeric]
    if not (numbers == np.round(numbers)).all():
        return False
    return len(np.unique(numbers)) <= MOST_CATEGORIES // 2


def _codes(reference: Values, serving: Values) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Categories numbered, missing being one; the rarest beyond the first some are one."""
    if (reference.kind == Kind.TEXT).any() or (serving.kind == Kind.TEXT).any():
        ours = np.array([str(token) for token in reference.tokens()])
        theirs = np.array([str(token) for token in serving.tokens()])
    else:
        ours, theirs = reference.number, serving.number  # missing ones are NaN, which is one category, too
    names, codes = np.unique(np.concatenate([ours, theirs]), return_inverse=True)
    if len(names) > MOST_CATEGORIES:
        rank = np.argsort(np.argsort(-np.bincount(codes), kind="stable"), kind="stable")
        codes = np.minimum(rank[codes], MOST_CATEGORIES)
    codes = codes.astype(np.int64)
    return codes[: len(ours)], codes[len(ours) :]


def _binned(reference: Values, serving: Values) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tenths of the reference; missing is a bin of its own."""
    have = reference.number[reference.numeric]
    edges = np.unique(np.quantile(have, np.linspace(0, 1, _BINS + 1)[1:-1])) if len(have) else np.zeros(1)
    return tuple(  # type: ignore[return-value]  # two of them
        np.where(side.null, len(edges) + 1, np.searchsorted(edges, side.number, side="right")).astype(np.int64)
        for side in (reference, serving)
    )


@dataclass(frozen=True, slots=True)
class _Chance:
    variation: float
    psi: float


def _by_chance(p: NDArray[np.float64], one: float, other: float, rng: np.random.Generator) -> _Chance:
    """Both sides drawn from the reference, as large as they are worth."""
    p = p / p.sum()
    a = rng.multinomial(max(1, round(one)), p, _RESAMPLES) / max(1, round(one))
    b = rng.multinomial(max(1, round(other)), p, _RESAMPLES) / max(1, round(other))
    half = 0.5 / max(one, other, 1.0)
    terms = (a - b) * np.log((a + half) / (b + half))
    return _Chance(0.5 * float(np.abs(a - b).sum(axis=1).mean()), float(np.quantile(terms.sum(axis=1), 0.95)))


def _ks(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    if not len(a) or not len(b):
        return 0.0  # what is missing on one side tells more
    a, b = np.sort(a), np.sort(b)
    at = np.concatenate([a, b])
    gap = np.searchsorted(a, at, side="right") / len(a) - np.searchsorted(b, at, side="right") / len(b)
    return float(np.abs(gap).max())


def _harmonic(one: float, other: float) -> float:
    return one * other / max(one + other, _TINY)


def _two(reference: Values, serving: Values) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    left, right = float(reference.null.mean()), float(serving.null.mean())
    return np.array([left, 1 - left]), np.array([right, 1 - right])


def _chi_square(p: NDArray[np.float64], q: NDArray[np.float64], one: float, other: float) -> float:
    pooled = (p * one + q * other) / (one + other)
    kept = pooled > 0
    if kept.sum() < 2:
        return 1.0
    statistic = float((_harmonic(one, other) * np.square(p - q)[kept] / pooled[kept]).sum())
    return float(stats.chi2.sf(statistic, int(kept.sum()) - 1))


def _psi(p: NDArray[np.float64], q: NDArray[np.float64], one: float, other: float) -> float:
    half = 0.5 / max(one, other, 1.0)  # an empty bin is less than one row, not nothing
    return float(((p - q) * np.log((p + half) / (q + half))).sum())


def _jensen_shannon(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(p > 0, p * np.log(p / middle), 0.0)
        right = np.where(q > 0, q * np.log(q / middle), 0.0)
    return float((left + right).sum() / 2)


def _wasserstein(reference: Values, serving: Values) -> float | None:
    a, b = (side.number[np.isfinite(side.number)] for side in (reference, serving))
    return float(stats.wasserstein_distance(a, b)) if len(a) and len(b) else None
