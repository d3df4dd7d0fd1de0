"""Watches the second version while it carries all traffic, against the first one before the switch, every second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from proofload.clock import NS_PER_S
from proofload.procedures._shadow_findings import side
from proofload.records import Samples, Status
from proofload.report import numbers
from proofload.verdict.ab_test import Look, looked_at_now
from proofload.verdict.shadow import Compared, Tolerance, compared

FEWEST_BLOCKS = 3
"""Seconds after the switch before anything is said: one second alone shows nothing of what is usual."""
GUARDS = 4
_CAUSES = {
    "failures": "canary-errors",
    "wrong-answers": "wrong-predictions",
    "latency": "canary-slower",
    "tail": "canary-slow-tail",
}


@dataclass(slots=True)
class Guard:
    """What the comparison needs to know. `latest_ns`: the last due time that was seen."""

    start_ns: int
    switched_ns: int
    tolerance: Tolerance
    alpha_fail: float
    alpha_pass: float = 0.01
    latest_ns: int = 0
    looked_at: int = field(default=FEWEST_BLOCKS - 1)

    def is_due(self, fresh: Samples) -> bool:
        """Has another second become whole?"""
        if len(fresh):
            self.latest_ns = max(self.latest_ns, int(fresh.table["intended_ns"].max()))
        whole = (self.latest_ns - self.switched_ns) // NS_PER_S
        if whole <= self.looked_at:
            return False
        self.looked_at = whole
        return True

    @property
    def until_ns(self) -> int:
        return self.switched_ns + self.looked_at * NS_PER_S


@dataclass(frozen=True, slots=True)
class Tripped:
    """A guard that saw harm: its name, what it saw, the diagnosis."""

    name: str
    reason: str
    cause: str


def guarded(guard: Guard, samples: Samples) -> Iterator[Tripped]:
    """The guards that see harm at this look."""
    yield from tripped(sides_compared(guard, samples, until_ns=guard.until_ns))


def sides_compared(guard: Guard, samples: Samples, *, until_ns: int, at_the_end: bool = False) -> Compared:
    """Green until an instant against blue before the switch. `at_the_end`: one look, at the end that was planned."""
    table = samples.table
    due, own = table["intended_ns"], table["mirror"] == 0
    seconds = np.where(
        due < guard.switched_ns, (due - guard.start_ns) // NS_PER_S, 10**6 + (due - guard.switched_ns) // NS_PER_S
    )
    _, block = np.unique(seconds, return_inverse=True)
    before = own & (table["arm"] == 0) & (due < guard.switched_ns) & (due >= guard.start_ns)
    after = own & (table["arm"] == 1) & (due >= guard.switched_ns) & (due < until_ns)
    sides = [side(samples.where(mask), block[mask].astype(np.int64)) for mask in (before, after)]
    each = guard.alpha_fail / GUARDS
    if at_the_end:
        return compared(*sides, guard.tolerance, alpha_fail=each, alpha_pass=guard.alpha_pass)
    return compared(*sides, guard.tolerance, alpha_fail=each, alpha_pass=guard.alpha_pass, look=looked_at_now)


def looks_of(found: Compared) -> dict[str, Look]:
    """By guard, the gravest first."""
    return {"failures": found.failures, "wrong-answers": found.wrong, "latency": found.median, "tail": found.tail}


def tripped(found: Compared) -> Iterator[Tripped]:
    for name, look in looks_of(found).items():
        if look.ruling.status is Status.FAIL:
            yield Tripped(name, told(name, look, found.far_ms), _CAUSES[name])


def told(name: str, look: Look, far_ms: float) -> str:
    """What a comparison saw, in words."""
    effect, usual = look.ruling.effect, look.difference.baseline
    if name == "latency":
        sign = "+" if effect > 0 else ""
        return f"its median latency is {sign}{numbers.significant(effect)} ms off the usual {usual:.3g} ms"
    what = {"failures": "fail", "wrong-answers": "are answered wrongly", "tail": f"take longer than {far_ms:.3g} ms"}
    return f"{100 * (usual + effect):.3g} % of its requests {what[name]}, where {100 * usual:.3g} % did"
