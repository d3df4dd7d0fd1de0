"""Back at base load, is the target itself again within six seconds? Four and eight seconds before, twelve after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.overload_recovery import baseline_of, recovery
from proofload.clock import NS_PER_S
from proofload.records import Status
from proofload.selftest import Shape
from proofload.verdict.peak import recovery_check

ALPHA = 0.001
ALPHA_PASS = 0.01
WITHIN_S, SETTLED_S = 6.0, 5.0
BEFORE_S, BACK_S = 8.0, 12.0


@dataclass(frozen=True, slots=True)
class History:
    """Requests by due time (s), how long they took (s), and whether they went well."""

    due_s: NDArray[np.float64]
    took_s: NDArray[np.float64]
    ok: NDArray[np.bool_]


Make = Callable[[np.random.Generator, float], History]


def create() -> Recovered:
    return Recovered()


class Recovered:
    scenario = "peak-10x"
    decides = "it is not itself again within its time after the peak"

    def shapes(self) -> Sequence[Shape]:
        nulls = [
            Shape(f"recovery: {name}, {rate}/s", "null", _deciding(make, rate, _at_once), alpha=ALPHA)
            for rate in (5, 60)
            for name, make in {
                "even": _even,
                "autocorrelated": _autocorrelated,
                "stalling": _stalling,
                "heavy-tailed": _heavy_tailed,
                "rare errors": _rare_errors,
            }.items()
        ]
        nulls.append(Shape("recovery: after two seconds", "null", _deciding(_even, 60, _failing(2.0)), alpha=ALPHA))
        effects = [
            Shape(
                f"recovery: fails for {seconds:g} s",
                "effect",
                _deciding(_even, 60, _failing(seconds)),
                alpha=ALPHA_PASS,
                magnitude=seconds / WITHIN_S,
                detect=0.99 if seconds >= 7.5 else None,
                curve="time to recovery over what is allowed",
            )
            for seconds in (6.5, 7.5, 9.0, 20.0)
        ]
        effects += [
            Shape("recovery: never, slow load", "effect", _deciding(_even, 5, _failing(60.0)), alpha=ALPHA_PASS,
                  magnitude=10.0, detect=0.99),
            Shape("recovery: half of it fails on", "effect", _deciding(_even, 60, _half), alpha=ALPHA_PASS,
                  magnitude=10.0, detect=0.99),
            Shape("recovery: three times as slow from now on", "effect", _deciding(_even, 60, _slower),
                  alpha=ALPHA_PASS, magnitude=10.0, detect=0.99),
        ]  # fmt: skip
        apart = Shape(
            "recovery: one error in thirty, before and after",
            "apart",
            _deciding(_flaky, 60, _at_once),
            why="a load that did not go well before cannot be returned to: the SLO is what fails",
        )
        return (*nulls, *effects, apart)


After = Callable[[np.random.Generator, History], History]


def _deciding(make: Make, rate: float, after: After) -> Callable[[np.random.Generator], Status]:
    def decide(rng: np.random.Generator) -> Status:
        before = make(rng, rate * BEFORE_S)
        back = after(rng, make(rng, rate * BACK_S))
        baseline = baseline_of(_ns(before.took_s * 1.0), before.ok)
        if baseline is None:
            return Status.INCONCLUSIVE
        found = recovery(
            _ns(back.due_s), _ns(back.took_s), back.ok, baseline, begin_ns=0, end_ns=round(BACK_S * NS_PER_S),
            settled_s=SETTLED_S,
        )  # fmt: skip
        return recovery_check(found, baseline, WITHIN_S, SETTLED_S).status

    return decide


def _ns(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    return (seconds * NS_PER_S).astype(np.int64)


def _due(rng: np.random.Generator, expected: float) -> NDArray[np.float64]:
    """Poisson arrivals over the stretch whose expected number it is."""
    length_s = BEFORE_S if abs(expected / BEFORE_S - round(expected / BEFORE_S)) < 1e-9 else BACK_S
    return np.sort(rng.random(max(2, rng.poisson(expected)))) * length_s


def _even(rng: np.random.Generator, expected: float) -> History:
    due = _due(rng, expected)
    return History(due, rng.lognormal(np.log(0.04), 0.2, len(due)), np.ones(len(due), dtype=np.bool_))


def _autocorrelated(rng: np.random.Generator, expected: float) -> History:
    """Slow and fast spells of a second or so."""
    made = _even(rng, expected)
    spell = np.interp(made.due_s, np.arange(0.0, 13.0), rng.normal(0.0, 0.3, 13))
    return History(made.due_s, made.took_s * np.exp(spell), made.ok)


def _stalling(rng: np.random.Generator, expected: float) -> History:
    """Every ten seconds or so everything waits for up to 0.4 s."""
    made = _even(rng, expected)
    took = made.took_s.copy()
    for start in rng.random(rng.poisson(1.2)) * 12.0:
        caught = (made.due_s >= start) & (made.due_s < start + 0.4)
        took[caught] += start + 0.4 - made.due_s[caught]
    return History(made.due_s, took, made.ok)


def _heavy_tailed(rng: np.random.Generator, expected: float) -> History:
    due = _due(rng, expected)
    return History(due, rng.lognormal(np.log(0.02), 1.0, len(due)), np.ones(len(due), dtype=np.bool_))


def _rare_errors(rng: np.random.Generator, expected: float) -> History:
    made = _even(rng, expected)
    return History(made.due_s, made.took_s, rng.random(len(made.ok)) > 0.002)


def _flaky(rng: np.random.Generator, expected: float) -> History:
    made = _even(rng, expected)
    return History(made.due_s, made.took_s, rng.random(len(made.ok)) > 1 / 30)


def _at_once(_rng: np.random.Generator, back: History) -> History:
    return back


def _failing(seconds: float) -> After:
    def fail(_rng: np.random.Generator, back: History) -> History:
        return History(back.due_s, back.took_s, back.ok & (back.due_s >= seconds))

    return fail


def _half(rng: np.random.Generator, back: History) -> History:
    return History(back.due_s, back.took_s, back.ok & (rng.random(len(back.ok)) < 0.5))


def _slower(_rng: np.random.Generator, back: History) -> History:
    return History(back.due_s, 3.0 * back.took_s, back.ok)
