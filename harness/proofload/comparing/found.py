"""What a comparison found: frozen records, from which the page, the JSON and the terminal are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from proofload.comparing.readings import Reading
from proofload.records import Capacity, Cost, Interval, Status
from proofload.verdict.comparison import Standing


@dataclass(frozen=True, slots=True)
class Kind:
    """What options are compared by under a load."""

    key: str
    title: str
    unit: str
    higher_is_better: bool = False


SERVICE = Kind("service_p50", "median service time", "ms")
TAIL = Kind("latency_p99", "p99 latency", "ms")
SHARE = Kind("ok_share", "share answered well", "share", higher_is_better=True)
KINDS = (SERVICE, TAIL, SHARE)
UNKNOWN = Interval(None, None)


@dataclass(frozen=True, slots=True)
class Metric:
    """One candidate beside the baseline, in one metric. Factors are candidate ÷ baseline."""

    kind: Kind
    standing: Standing
    because: str
    required: bool
    """Whether the outcome as a whole needs it to be settled; what is worse counts in any case."""
    why_not: str = ""
    """Why it is not required."""
    factor: float | None = None
    interval: Interval = UNKNOWN
    level: float = 0.99
    """Of the interval: all those of the comparison together are wrong at most at its `alpha`."""
    margin: float = 0.0
    floor: float | None = None
    """The factor by which a target strays from itself, nineteen times in twenty; None: nothing shows it."""
    signs: float | None = None
    """The chance of so many pairs on the worse side, were each a coin's throw."""
    pairs: tuple[tuple[int, float, float], ...] = ()
    """(pair, baseline's value, candidate's value) of each that was used."""
    pairs_needed: int | None = None


@dataclass(frozen=True, slots=True)
class Beside:
    """A candidate beside the baseline, in one situation."""

    scenario: str
    candidate: str
    baseline: str
    metrics: tuple[Metric, ...] = ()
    """Of a load in pairs."""
    verdict: Standing | None = None
    """Of what was done once to each: by its verdicts."""
    because: str = ""
    """Of `verdict`: "both fail"."""
    asked_for: bool = True
    """False for what was added for a requirement's sake: it counts only where it is worse."""


@dataclass(frozen=True, slots=True)
class Level:
    """An option's own value over its lifetimes: their geometric mean, and its interval."""

    value: float
    interval: Interval
    lifetimes: int


@dataclass(frozen=True, slots=True)
class Requirement:
    """What was required of an option, and whether it is kept."""

    name: str
    status: Status
    limit: str
    observed: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Once:
    """What an option did in a situation that it was put into once."""

    scenario: str
    procedure: str
    option: str
    status: Status | None
    """None: it was not made, or came out invalid each time and the last is told in `said`."""
    said: tuple[str, ...]
    folder: str
    canary: str = ""
    onto_itself: bool = False
    """It was rolled out, and no other version was named: the second one was the option again."""


@dataclass(frozen=True, slots=True)
class Price:
    """What an option costs, on what grounds."""

    cost: Cost
    at_capacity: bool
    """False: at the rate that was offered in the pairs, which says nothing of what else it could carry."""
    capacity: Capacity | None = None
    instances: Interval = UNKNOWN
    """For the peak, spare ones included: as many as capacity's interval allows."""
    per_month: Interval = UNKNOWN


@dataclass(frozen=True, slots=True)
class Option:
    """One option on the page."""

    label: str
    target: Mapping[str, Any]
    standing: Standing | None
    """Against the baseline; None: it is the baseline."""
    rate_rps: float | None
    service_p50: Level | None
    latency_p50: Level | None
    latency_p99: Level | None
    answers: int
    ok_share: float | None
    requirements: tuple[Requirement, ...]
    price: Price | None

    @property
    def meets(self) -> Status:
        """All that was required of it."""
        seen = {one.status for one in self.requirements}
        if Status.FAIL in seen:
            return Status.FAIL
        return Status.PASS if seen == {Status.PASS} else Status.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class Conservation:
    """What became of every lifetime that was planned, and of every attempt at one."""

    planned: int
    valid: int
    attempts: int
    invalid: int
    interrupted: int
    not_started: int
    unusable: tuple[str, ...]
    """Damaged, or of another run: which, and how that shows."""
    lost: tuple[str, ...]
    """Planned, and not there."""
    pairs_dropped: int
    """Both lifetimes valid, and not used: made on different hosts."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison, judged."""

    standing: Standing
    """Of all candidates together: what the exit code says."""
    options: tuple[Option, ...]
    """In the order they were named; the first is the baseline."""
    ranking: tuple[tuple[str, bool], ...]
    """(label, whether the pairs tell it from the one before), fastest first; only options that were measured."""
    besides: tuple[Beside, ...]
    once: tuple[Once, ...]
    readings: tuple[tuple[str, Reading], ...]
    """(label, what each valid lifetime under load showed)."""
    conservation: Conservation
    not_measured: tuple[str, ...]
    settings: Mapping[str, Any]
    scenarios: tuple[str, ...]
    requires: tuple[str, ...]
    """What was required, in words: the SLO, the peak, the budget."""
    p99_limit_ms: float | None
    """Of the load that stands first: beside the options' own p99."""
    command: str
    started_at: str
    folder: str
    environment: Mapping[str, Any] = field(default_factory=dict)
