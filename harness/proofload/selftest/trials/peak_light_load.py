"""Are lone requests slower than those in company? Queues in time, with and without batches that have to fill."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.company import chance_faster, held_back, in_flight
from proofload.records import Status
from proofload.selftest import Shape
from proofload.verdict.peak import Errors, light_load_check

ALPHA = 0.001
ALPHA_PASS = 0.01
ERRORS = Errors(0.001 / 8, ALPHA_PASS)
LIMIT = 0.6
LEAST_MS = 5.0
PART = 0.1
SECONDS = 14.0
Took = Callable[[np.random.Generator, NDArray[np.float64]], NDArray[np.float64]]
"""From due times (ms, rising) to how long each took (ms)."""


def create() -> LightLoad:
    return LightLoad()


class LightLoad:
    scenario = "peak-10x"
    decides = "lone requests wait for company"

    def shapes(self) -> Sequence[Shape]:
        harmless: dict[str, tuple[float, Took]] = {
            "one worker": (8.0, _queue(40.0, 0.02)),
            "one worker, fast": (60.0, _queue(5.0, 0.3)),
            "workers enough": (12.0, _alone(60.0, 0.1)),
            "workers enough, uneven work": (12.0, _alone(60.0, 0.8)),
            "slow spells": (12.0, _spells),
            "stalling": (12.0, _stalls),
            "slower to wake": (20.0, _wakes),
        }
        nulls = [
            Shape(f"light load: {name}", "null", _deciding(rate, took), alpha=ALPHA)
            for name, (rate, took) in harmless.items()
        ]
        effects = [
            Shape(
                f"light load: waits {delay:g} ms for a batch",
                "effect",
                _deciding(20.0, _batches(delay, 8, 8.0)),
                alpha=ALPHA_PASS if delay >= 100.0 else None,
                magnitude=delay / LEAST_MS,
                detect=0.99 if delay >= 100.0 else None,
                curve="wait for a batch, over 5 ms (8 at most, 8 ms a batch, 20 requests/s)",
            )
            for delay in (25.0, 50.0, 100.0, 200.0, 400.0)
        ]
        effects.append(
            Shape(
                "light load: waits 200 ms for a batch of heavy work",
                "effect",
                _deciding(6.0, _batches(200.0, 8, 40.0, each=37.0)),
                alpha=ALPHA_PASS,
                magnitude=40.0,
                detect=0.99,
            )
        )
        return (*nulls, *effects)


def _deciding(rate: float, took: Took) -> Callable[[np.random.Generator], Status]:
    def decide(rng: np.random.Generator) -> Status:
        due = np.sort(rng.random(max(2, rng.poisson(rate * SECONDS)))) * SECONDS * 1e3
        latency = took(rng, due)
        instants = np.round(due * 1e6).astype(np.int64)
        company = in_flight(instants, instants, np.round((due + latency) * 1e6).astype(np.int64))
        alone, others = latency[company == 0], latency[company > 0]
        middle = float(np.median(alone)) if len(alone) else 0.0
        margin = max(LEAST_MS, PART * middle)
        return light_load_check(
            chance_faster(others, alone, margin, alpha_fail=ERRORS.fail / 2, alpha_pass=ERRORS.good),
            held_back(instants, np.round((due + latency) * 1e6).astype(np.int64), company),
            margin_ms=margin,
            limit=LIMIT,
            medians=(middle, 0.0),
            errors=ERRORS,
        ).status

    return decide


def _alone(median_ms: float, spread: float) -> Took:
    return lambda rng, due: rng.lognormal(np.log(median_ms), spread, len(due))


def _queue(median_ms: float, spread: float) -> Took:
    def took(rng: np.random.Generator, due: NDArray[np.float64]) -> NDArray[np.float64]:
        service = rng.lognormal(np.log(median_ms), spread, len(due))
        walk = np.concatenate(([0.0], np.cumsum(service[:-1] - np.diff(due))))
        return np.asarray(walk - np.minimum.accumulate(walk) + service)

    return took


def _spells(rng: np.random.Generator, due: NDArray[np.float64]) -> NDArray[np.float64]:
    spell = np.interp(due, np.arange(0.0, 16e3, 1e3), rng.normal(0.0, 0.4, 16))
    return _alone(60.0, 0.1)(rng, due) * np.exp(spell)


def _stalls(rng: np.random.Generator, due: NDArray[np.float64]) -> NDArray[np.float64]:
    latency = _alone(60.0, 0.1)(rng, due).copy()
    for start in rng.random(rng.poisson(1.5)) * SECONDS * 1e3:
        caught = (due >= start) & (due < start + 500.0)
        latency[caught] += start + 500.0 - due[caught]
    return latency


def _wakes(rng: np.random.Generator, due: NDArray[np.float64]) -> NDArray[np.float64]:
    """Three milliseconds more after an idle moment."""
    gaps = np.diff(due, prepend=-1e3)
    return _alone(20.0, 0.2)(rng, due) + np.where(gaps > 30.0, 3.0, 0.0)


def _batches(delay_ms: float, size: int, base_ms: float, each: float = 1.0) -> Took:
    """A batch starts when it is full, or `delay_ms` after its first request came."""

    def took(_rng: np.random.Generator, due: NDArray[np.float64]) -> NDArray[np.float64]:
        done = np.empty(len(due))
        free, first = 0.0, 0
        while first < len(due):
            start = max(due[first] + delay_ms, free)
            full = first + size - 1
            if full < len(due) and due[full] < start:
                start = max(due[full], free)
            last = min(int(np.searchsorted(due, start, side="right")), first + size)
            last = max(last, first + 1)
            free = start + base_ms + each * (last - first - 1)
            done[first:last] = free
            first = last
        return done - due

    return took
