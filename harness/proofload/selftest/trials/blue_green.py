"""Green after a switch against blue before it, looked at every second: stalls, drifts, slow starts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from proofload.analysis.before_after import Requests, guards, limits_from
from proofload.records import Status
from proofload.selftest import Shape
from proofload.verdict.blue_green import at_the_end, first_harm, passed

_BLUE, _GREEN = 10, 18
_EACH = 300
_ALPHA, _PASS = 0.001, 0.01
_SLOWER, _SLOWER_MS, _FAILED, _TAIL = 0.5, 3.0, 0.005, 0.005


def create() -> BlueGreen:
    return BlueGreen()


class BlueGreen:
    """See `proofload.selftest.Trial`."""

    scenario = "blue-green"
    decides = "green is to be taken back: it fails more, answers wrongly or is slower than blue was"

    def shapes(self) -> Sequence[Shape]:
        shapes = [
            _shape("alike", "null", _History()),
            _shape("alike, rare stalls", "null", _History(stalls=0.1)),
            _shape("alike, many stalls", "null", _History(stalls=0.4)),
            _shape("alike, slow drift", "null", _History(drift=0.4)),
            _shape("alike, a slow first second", "null", _History(first=20.0)),
            _shape("alike, one in two hundred fails on either", "null", _History(usual=0.005)),
        ]
        shapes += [
            _shape(f"{share:.0%} fail", "effect", _History(failing=share), magnitude=share / _FAILED,
                   detect=0.99 if share == 0.03 else None, curve="blue-green: failures")
            for share in (0.01, 0.02, 0.03, 0.05, 0.1)
        ]  # fmt: skip
        shapes += [
            _shape(f"{share:.0%} far slower", "effect", _History(far=share), magnitude=share / _TAIL,
                   detect=0.99 if share == 0.02 else None, curve="blue-green: far slower answers")
            for share in (0.02, 0.03, 0.05)
        ]  # fmt: skip
        return shapes + [
            _shape(f"median slower by {tolerances:g} tolerances", "effect", _History(median=tolerances),
                   magnitude=tolerances, detect=0.99 if tolerances == 1.5 else None, curve="blue-green: median latency")
            for tolerances in (1.2, 1.5, 2.0)
        ]  # fmt: skip


def _shape(what: str, kind: str, history: _History, **more: object) -> Shape:
    def one(rng: np.random.Generator) -> Status:
        blue, green = history.drawn(rng)
        limits = limits_from(blue, slower=_SLOWER, slower_ms=_SLOWER_MS, failed=_FAILED, tail=_TAIL)
        guarded = guards(blue, green, limits)
        return passed(first_harm(guarded, alpha_fail=_ALPHA), at_the_end(guarded, alpha_fail=_ALPHA, alpha_pass=_PASS))

    return Shape(what, kind, one, alpha=_ALPHA if kind == "null" else _PASS, **more)  # type: ignore[arg-type]


class _History:
    """Answers of about 2 ms, one block a second; harm from the switch on."""

    def __init__(
        self,
        *,
        failing: float = 0.0,
        median: float = 0.0,
        usual: float = 0.0,
        stalls: float = 0.0,
        drift: float = 0.0,
        first: float = 0.0,
        far: float = 0.0,
    ) -> None:
        self._far = far
        self._failing, self._median, self._usual = failing, median, usual
        self._stalls, self._drift, self._first = stalls, drift, first

    def drawn(self, rng: np.random.Generator) -> tuple[Requests, Requests]:
        whole = _BLUE + _GREEN
        level = 2.0 * np.exp(self._drift * np.sin(2 * np.pi * (np.arange(whole) / whole + rng.random())))
        level *= np.exp(rng.normal(0.0, 0.08, whole))
        level = np.repeat(level, _EACH)
        stalled = np.repeat(rng.random(whole) < self._stalls, _EACH)
        n = whole * _EACH
        latency = level * np.exp(rng.normal(0.0, 0.4, n))
        if self._stalls:
            latency += np.where(stalled & (rng.random(n) < 0.15), rng.uniform(5, 150, n), 0.0)
        block = np.repeat(np.arange(whole), _EACH) - _BLUE
        green = block >= 0
        failed = rng.random(n) < self._usual + self._failing * green
        latency += self._median * (_SLOWER * 2.0 + _SLOWER_MS) * green
        latency += np.where(green & (rng.random(n) < self._far), 200.0, 0.0)
        if self._first:
            latency += np.where(block == 0, rng.exponential(self._first, n), 0.0)
        wrong = np.zeros(n, np.bool_)
        return (
            Requests(latency[~green], failed[~green], wrong[~green], block[~green] + _BLUE),
            Requests(latency[green], failed[green], wrong[green], block[green]),
        )
