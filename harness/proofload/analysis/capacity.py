"""The highest rate that holds an SLO, searched for and then confirmed.

Double until a step fails, bisect (in ratios) until the bracket is as narrow as the resolution, then
confirm: a run at the answer, judged with the verdict's error rate. The search steps decide nothing but
where to look, so they may be short and judged by what was merely observed; a first failure is repeated
once, because one burst of noise there would cut the search off far below the answer. A confirmation that
does not pass is followed by another one lower (by one resolution, then by three, by seven); their number is
fixed beforehand and each gets its share of the error rate (Bonferroni), so that the rate reported as
confirmed is wrongly called good at most at that rate.

Without a confirmation the rate is the highest that met the SLO as observed and that no confirmation refuted.
The interval: its low end is the confirmed rate; without a confirmation, the highest rate at which a
search step passed its own test, and None if none did. Its high end is the rate at or below which two steps
*failed* their tests, so that no single burst of noise makes it; merely inconclusive steps do not count,
and the end is None where fewer failed. The search repeats the step at the bracket's upper end for that, and
goes on from there when it holds after all. No curve is fitted. (Simulated: with noise that spoils one step
in twenty the high end lies below the true capacity in 3 % of searches, without noise in less than 0.1 %; a
server that stays worse after an overloaded step needs time to recover between steps, or it is in 10 %.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from proofload.analysis.knee import knee
from proofload.records import Capacity, Interval, Status

Purpose = Literal["search", "confirm"]
INVALID_AGAIN = 2
"""A step that could not be measured is repeated this often before the client is taken to be the limit."""
DEEPEST = 1024
"""A start rate that fails is divided by at most this."""


@dataclass(frozen=True, slots=True)
class Step:
    """One run to make: at this rate, for this purpose.

    `alpha_share`: the part of the verdict's error rates that it may use (1 for search steps: they
    decide nothing). `length`: how many times as long as a search step of the same procedure a
    confirmation is to be, relative to the first one; later ones are longer, because an inconclusive
    one was short of data.
    """

    rate_rps: float
    purpose: Purpose
    alpha_share: float = 1.0
    length: float = 1.0


@dataclass(frozen=True, slots=True)
class Tried:
    """What a step showed. `meets`: whether the SLO was met as observed, for want of a verdict."""

    rate_rps: float
    purpose: Purpose
    status: Status
    meets: bool
    measured: Mapping[str, Any] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return self.status is Status.PASS or (self.status is Status.INCONCLUSIVE and self.meets)


@dataclass(frozen=True, slots=True)
class _Bracket:
    low: float | None
    high: float | None
    high_seen_twice: bool
    doubtful: float | None
    """A rate whose one failure is to be repeated first."""
    client: bool
    """The upper end is where the client, not the target, gave out."""


class CapacitySearch:
    """Asks for one step after the other and remembers what they showed; runs nothing itself.

    Steps may also be recorded that were not asked for: a run folder is replayed that way.
    """

    def __init__(
        self,
        start_rps: float,
        max_rps: float,
        *,
        resolution: float = 0.05,
        confirmations: int = 3,
        lowest_rps: float = 0.0,
        caution: int = 0,
    ) -> None:
        """`lowest_rps`: below it a step holds too few requests to show anything, so none is asked for.

        `caution`: where in the row of falling rates (1, 1/r, 1/r³, 1/r⁷ of the search's answer) confirming begins.
        Short search steps do not see a queue that grows slowly, so what they find is a little too high.
        """
        if not 0.0 < start_rps <= max_rps:
            raise ValueError(f"0 < start_rps <= max_rps does not hold: {start_rps}, {max_rps}")
        if resolution <= 0.0 or confirmations < 1:
            raise ValueError(f"resolution {resolution} must be positive, confirmations {confirmations} at least 1")
        self._start_rps = start_rps
        self._max_rps = max_rps
        self._lowest_rps = max(start_rps / DEEPEST, lowest_rps)
        self._ratio = 1.0 + resolution
        self._confirmations = confirmations
        self._caution = caution
        self._tried: list[Tried] = []

    def next_step(self, *, searching: bool = True) -> Step | None:
        """The next run to make, or None when the search is over. The same until it is recorded.

        `searching` False: the time for searching is up, what was found by now is to be confirmed.
        """
        bracket = self._bracket()
        if searching and not self._of("confirm"):
            rate = self._next_rate(bracket)
            if rate is not None:
                return Step(rate, "search")
        return self._confirmation(bracket.low)

    def record(self, step: Step, status: Status, *, meets: bool = False, **measured: Any) -> None:
        """Take down what a step showed; `measured` (p50_ms, p99_ms, goodput_rps, ok_share, …) is passed on.

        Status INVALID means that the client could not do it: repeated twice, then taken as its limit.
        """
        self._tried.append(Tried(step.rate_rps, step.purpose, status, meets, measured))

    def answer(self) -> Capacity:
        """What is known so far; final once `next_step` is None."""
        bracket = self._bracket()
        confirmed = [tried.rate_rps for tried in self._of("confirm") if tried.status is Status.PASS]
        passed = [tried.rate_rps for tried in self._tried if tried.status is Status.PASS]
        low = max(confirmed) if confirmed else self._unrefuted(passed)
        likely = [tried.rate_rps for tried in self._of("confirm") if tried.good]
        rate = low if confirmed else self._unrefuted(likely + ([] if bracket.low is None else [bracket.low]))
        floor = low or 0.0
        failed = sorted(
            tried.rate_rps for tried in self._tried if tried.status is Status.FAIL and tried.rate_rps > floor
        )
        return Capacity(
            rate_rps=rate,
            interval=Interval(low, failed[1] if len(failed) > 1 else None),
            confirmed=bool(confirmed),
            steps=tuple(
                {"rate_rps": tried.rate_rps, "status": str(tried.status), "purpose": tried.purpose, **tried.measured}
                for tried in self._tried
            ),
            knee_rps=self._knee(),
            censored=self._censored(bracket, failed),
        )

    def _of(self, purpose: Purpose) -> list[Tried]:
        return [tried for tried in self._tried if tried.purpose == purpose]

    def _next_rate(self, bracket: _Bracket) -> float | None:
        if bracket.doubtful is not None:
            return bracket.doubtful
        low, high = bracket.low, bracket.high
        if low is None:
            lower = self._start_rps if high is None else _tidy(high / 2.0)
            return lower if high is None or lower >= self._lowest_rps else None
        if high is None:
            return None if low >= self._max_rps else min(_tidy(2.0 * low), self._max_rps)
        between = _tidy(math.sqrt(low * high))
        if high > low * self._ratio and low < between < high:
            return between
        return None if bracket.high_seen_twice else high

    def _bracket(self) -> _Bracket:
        by_rate: dict[float, list[Tried]] = {}
        for tried in self._of("search"):
            by_rate.setdefault(tried.rate_rps, []).append(tried)
        bad = {rate: seen for rate, seen in by_rate.items() if not any(tried.good for tried in seen)}
        goods = [rate for rate in by_rate if rate not in bad]
        low = max(goods, default=None)
        above = [rate for rate in bad if low is None or rate > low]
        high = min(above, default=None)
        return _Bracket(
            low=low,
            high=high,
            high_seen_twice=high is not None and len(bad[high]) > 1,
            doubtful=self._doubtful(by_rate),
            client=high is not None and _invalid(bad[high]),
        )

    def _doubtful(self, by_rate: Mapping[float, list[Tried]]) -> float | None:
        """The rate tried last, if it was bad once and was the first to be bad, or invalid."""
        if not by_rate:
            return None
        last = self._of("search")[-1]
        seen = by_rate[last.rate_rps]
        if last.good or len(seen) > (INVALID_AGAIN if _invalid(seen) else 1):
            return None
        first_bad = next(tried for tried in self._of("search") if not tried.good)
        return last.rate_rps if last is first_bad or last.status is Status.INVALID else None

    def _confirmation(self, low: float | None) -> Step | None:
        made = self._of("confirm")
        if low is None or len(made) >= self._confirmations or any(tried.status is Status.PASS for tried in made):
            return None
        below = self._caution + sum(tried.status is not Status.INVALID for tried in made)
        return Step(
            _tidy(low / self._ratio ** (2**below - 1)) if below else low,
            "confirm",
            alpha_share=1.0 / self._confirmations,
            length=1.0 + 0.5 * sum(tried.status is Status.INCONCLUSIVE for tried in made),
        )

    def _unrefuted(self, rates: list[float]) -> float | None:
        """The highest of the rates at or above which no confirmation failed."""
        refuted = min(
            (tried.rate_rps for tried in self._of("confirm") if tried.status is Status.FAIL), default=math.inf
        )
        return max((rate for rate in rates if rate < refuted), default=None)

    def _censored(self, bracket: _Bracket, failed: list[float]) -> str:
        if bracket.client:
            return "client"
        reached = bracket.low is not None and bracket.low >= self._max_rps
        return "max_rate" if reached and not failed else ""

    def _knee(self) -> float | None:
        curve = [
            (tried.rate_rps, float(tried.measured["p99_ms"]))
            for tried in self._tried
            if tried.status is not Status.INVALID and tried.measured.get("p99_ms")
        ]
        return knee([rate for rate, _ in curve], [p99 for _, p99 in curve])


def _invalid(seen: list[Tried]) -> bool:
    return all(tried.status is Status.INVALID for tried in seen)


def _tidy(rate: float) -> float:
    """Four significant digits: a rate that a person can type again."""
    return float(f"{rate:.4g}")
