"""Restarts that never were: the first requests of fresh instances, and a stretch of the warm one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from proofload.analysis.openings import Requests, WarmLevel, warm_level, windows
from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.records import Status
from proofload.verdict.cold import Demand, Harm, decide
from proofload.verdict.cold_openings import Opening, opened

RATE_RPS, LOAD_S, STEADY_S, OPENING_NS = 150, 0.7, 8.0, NS_PER_S // 2
RESTARTS = 8
PENALTY_MS = 100.0
QUICK = Demand(quantile=0.5, tolerated=0.05, alpha=0.001 / 5, confidence=0.95)
"""What `--quick` asks."""

Make = Callable[[np.random.Generator, float], Requests]
"""A stretch of so many seconds of an instance that is warm."""
Spoil = Callable[[np.random.Generator, Requests], Requests]
"""What a fresh instance makes of a stretch."""
Harmed = Callable[[Sequence[Opening], WarmLevel | None], Harm]
"""How many of these openings show harm."""


@dataclass(frozen=True, slots=True)
class History:
    lives: tuple[Requests, ...]
    steady: Requests

    def seen(self) -> tuple[list[Opening], WarmLevel | None]:
        warm = warm_level(windows(self.steady, OPENING_NS))
        if warm is None:
            return [], None
        return [opened(life, OPENING_NS, warm, PENALTY_MS) for life in self.lives], warm


def as_it_is(_rng: np.random.Generator, life: Requests) -> Requests:
    return life


def deciding(harmed: Harmed, make: Make, spoil: Spoil = as_it_is) -> Callable[[np.random.Generator], Status]:
    """Decides about restarts of which every one is spoilt."""

    def decision(rng: np.random.Generator) -> Status:
        made = history(rng, make)
        openings, warm = History(tuple(spoil(rng, life) for life in made.lives), made.steady).seen()
        return decide(harmed(openings, warm), QUICK).status

    return decision


def history(rng: np.random.Generator, make: Make, restarts: int = RESTARTS) -> History:
    return History(tuple(make(rng, LOAD_S) for _ in range(restarts)), make(rng, STEADY_S))


def of(due_s: NDArray[np.float64], latency_ms: NDArray[np.float64]) -> Requests:
    due_ns = (due_s * NS_PER_S).astype(np.int64)
    return Requests(
        due_ns, due_ns + (latency_ms * NS_PER_MS).astype(np.int64), latency_ms, np.zeros(len(due_ns), np.bool_)
    )


def due(rng: np.random.Generator, seconds: float) -> NDArray[np.float64]:
    return np.sort(rng.uniform(0.0, seconds, rng.poisson(RATE_RPS * seconds)))


def even(rng: np.random.Generator, seconds: float) -> Requests:
    at = due(rng, seconds)
    return of(at, rng.lognormal(0.7, 0.4, len(at)))


def autocorrelated(rng: np.random.Generator, seconds: float) -> Requests:
    """AR(1), φ = 0.9, in the logarithm."""
    at = due(rng, seconds)
    noise = lfilter([1.0], [1.0, -0.9], rng.normal(0.0, 0.3, len(at)))
    return of(at, np.exp(0.7 + noise))


def sawtooth(rng: np.random.Generator, seconds: float) -> Requests:
    """2 to 32 ms and back, every 0.7 s."""
    at = due(rng, seconds)
    return of(at, rng.lognormal(0.7, 0.3, len(at)) + 30.0 * ((at + rng.uniform(0, 0.7)) % 0.7) / 0.7)


def filling(rng: np.random.Generator, seconds: float) -> Requests:
    """A little slower until a cache has filled: 15 ms more at first, a tenth of that after 0.7 s."""
    at = due(rng, seconds)
    return of(at, rng.lognormal(0.7, 0.4, len(at)) + 15.0 * np.exp(-at / 0.3))


def bursty(rng: np.random.Generator, seconds: float) -> Requests:
    """Twenty requests at a time, served one after the other."""
    clumps = np.sort(rng.uniform(0.0, seconds, rng.poisson(RATE_RPS * seconds / 20)))
    at = np.repeat(clumps, 20)
    return of(at, np.tile(np.arange(1, 21), len(clumps)) * rng.lognormal(0.5, 0.3, len(at)))


def heavy_tailed(rng: np.random.Generator, seconds: float) -> Requests:
    """A Pareto tail with index 1.5: one answer in 350 takes more than 100 ms."""
    at = due(rng, seconds)
    return of(at, 2.0 * rng.pareto(1.5, len(at)) + 1.0)


def stalling(every_s: float) -> Make:
    """All answers wait for 0.3 s now and then, at random."""

    def make(rng: np.random.Generator, seconds: float) -> Requests:
        calm = even(rng, seconds)
        at = calm.due_ns / NS_PER_S
        latency = calm.latency_ms.copy()
        for stall in rng.uniform(-0.3, seconds, rng.poisson((seconds + 0.3) / every_s)):
            inside = (at >= stall) & (at < stall + 0.3)
            latency[inside] += (stall + 0.3 - at[inside]) * 1e3
        return of(at, latency)

    return make


def each_its_own(rng: np.random.Generator, seconds: float) -> Requests:
    """Lives differ: one may be three times as slow as another."""
    calm = even(rng, seconds)
    return of(calm.due_ns / NS_PER_S, calm.latency_ms * float(rng.lognormal(0.0, 0.5)))


def failing(make: Make, share: float, together: int = 1) -> Make:
    """A share of the requests fails, warm or not, `together` at a time."""

    def spoilt(rng: np.random.Generator, seconds: float) -> Requests:
        calm = make(rng, seconds)
        bad = np.zeros(len(calm), np.bool_)
        for start in np.flatnonzero(rng.random(len(calm)) < share / together):
            bad[start : start + together] = True
        return refused(calm, bad)

    return spoilt


def refused(requests: Requests, bad: NDArray[np.bool_]) -> Requests:
    return replace(requests, bad=bad, latency_ms=np.where(bad, np.nan, requests.latency_ms))


NULLS: dict[str, Make] = {
    "even": even,
    "autocorrelated": autocorrelated,
    "sawtooth": sawtooth,
    "filling": filling,
    "bursty": bursty,
    "heavy-tailed": heavy_tailed,
    "stalls of 0.3 s, every 10 s": stalling(10.0),
    "stalls of 0.3 s, every 2 s": stalling(2.0),
    "lives that differ": each_its_own,
}
