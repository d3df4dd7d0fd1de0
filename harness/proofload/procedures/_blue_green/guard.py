"""Watches the second version while it carries all traffic, against the first one before the switch, every second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.before_after import (
    FAILURES,
    SLOWER,
    TAIL,
    WRONG,
    Guarded,
    Limits,
    Requests,
    guards,
    limits_from,
)
from proofload.analysis.summary import TIMED, with_outcome
from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.records import Outcome, Samples, Status
from proofload.report import numbers
from proofload.report.numbers import short
from proofload.verdict.blue_green import FEWEST_BLOCKS, at_the_end, harm_at
from proofload.verdict.experiment import Ruling
from proofload.verdict.shadow import Tolerance

CAUSES = {FAILURES: "canary-errors", WRONG: "wrong-predictions", SLOWER: "canary-slower", TAIL: "canary-slow-tail"}
_FAILED = (Outcome.ERROR, Outcome.TIMEOUT, Outcome.SHED)


@dataclass(frozen=True, slots=True)
class Counted:
    """Every guard's counts, and the limits they were counted by."""

    limits: Limits
    guarded: Mapping[str, Guarded]


@dataclass(slots=True)
class Guard:
    """Looks at green's seconds as they become whole, while the load goes on."""

    start_ns: int
    switched_ns: int
    tolerance: Tolerance
    alpha_fail: float
    alpha_pass: float = 0.01
    _latest_ns: int = 0
    _looked_at: int = field(default=FEWEST_BLOCKS - 1)

    def seen(self, fresh: Samples) -> bool:
        """Has another second become whole?"""
        if len(fresh):
            self._latest_ns = max(self._latest_ns, int(fresh.table["intended_ns"].max()))
        whole = (self._latest_ns - self.switched_ns) // NS_PER_S
        if whole <= self._looked_at:
            return False
        self._looked_at = whole
        return True

    def harm(self, samples: Samples) -> tuple[str, str] | None:
        """(guard, what it sees) at this look."""
        until_ns = self.switched_ns + self._looked_at * NS_PER_S
        counted = self.counted(samples, until_ns)
        found = harm_at(counted.guarded, self._looked_at, alpha_fail=self.alpha_fail)
        return None if found is None else (found.guard, told(found.guard, found.ruling, counted))

    def harm_at_the_end(self, samples: Samples, until_ns: int) -> tuple[str, str] | None:
        """(guard, what it sees) when green's planned time is over."""
        counted = self.counted(samples, until_ns)
        rulings = at_the_end(counted.guarded, alpha_fail=self.alpha_fail, alpha_pass=self.alpha_pass)
        for name, ruling in rulings.items():
            if ruling.status is Status.FAIL:
                return name, told(name, ruling, counted)
        return None

    def counted(self, samples: Samples, until_ns: int) -> Counted:
        """Green until an instant against blue before the switch, second by second."""
        table = samples.table
        due = table["intended_ns"]
        own = (table["mirror"] == 0) & (table["outcome"] != Outcome.UNSENT)
        before = own & (table["arm"] == 0) & (due >= self.start_ns) & (due < self.switched_ns)
        after = own & (table["arm"] == 1) & (due >= self.switched_ns) & (due < until_ns)
        blue = _requests(samples.where(before), self.start_ns)
        green = _requests(samples.where(after), self.switched_ns)
        allowed = self.tolerance
        limits = limits_from(
            blue, slower=allowed.slower, slower_ms=allowed.slower_ms, failed=allowed.failed, tail=allowed.tail
        )
        return Counted(limits, guards(blue, green, limits))


def told(name: str, ruling: Ruling, counted: Counted) -> str:
    """What a guard saw, in words."""
    usual = counted.guarded[name].difference().baseline
    limits = counted.limits
    what = {
        FAILURES: "fail",
        WRONG: "are answered wrongly",
        SLOWER: f"take longer than {numbers.significant(limits.slower_ms)} ms",
        TAIL: f"take longer than {numbers.significant(limits.far_ms)} ms",
    }
    now = max(0.0, usual + ruling.effect)
    half = " (half may)" if name == SLOWER else ""
    return f"{short(100 * now)} % of its requests {what[name]}{half}, where {short(100 * usual)} % did"


def _requests(samples: Samples, start_ns: int) -> Requests:
    table = samples.table
    timed = with_outcome(samples, *TIMED) & (table["done_ns"] > 0)
    latency: NDArray[np.float64] = np.where(timed, samples.latency_ns / NS_PER_MS, np.nan)
    return Requests(
        latency_ms=latency,
        failed=with_outcome(samples, *_FAILED),
        wrong=with_outcome(samples, Outcome.WRONG),
        block=((table["intended_ns"] - start_ns) // NS_PER_S).astype(np.int64),
    )
