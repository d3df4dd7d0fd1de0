"""What crosses the boundaries of proofload: frozen records, and nothing that does anything.

Times are integer nanoseconds of the host's monotonic clock (see clock.py); 0 in a sample's instant
means "never happened". Names carry units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESULT_SCHEMA = "proofload.result/1"


class Outcome(IntEnum):
    """What became of one planned request. Exactly one each; planned = the sum over all.

    The numbers are stored in sample files and never change meaning.
    """

    UNSENT = 0
    """Planned and never dispatched: the run ended first, or was cut off."""
    OK = 1
    """Answered in time and correct."""
    WRONG = 2
    """Answered, and the prediction differs from the expected one."""
    LATE = 3
    """Correct, after the scenario's deadline and before the client gave up."""
    SHED = 4
    """Refused on purpose by the peer: HTTP 429 or 503, gRPC RESOURCE_EXHAUSTED or UNAVAILABLE."""
    ERROR = 5
    """Any other answer, or none: refused, reset, closed, garbage, HTTP 4xx and 5xx."""
    TIMEOUT = 6
    """No answer within the client's patience (`timeout_s`, counted from the due time)."""


class Agreement(IntEnum):
    """Whether a mirrored request was answered like its original. Stored in sample files."""

    NOT_COMPARED = 0
    """One of the two brought no prediction."""
    SAME = 1
    DIFFERENT = 2


OUTCOME_NAMES: tuple[str, ...] = tuple(outcome.name.lower() for outcome in Outcome)

SAMPLE_DTYPE = np.dtype(
    [
        ("seq", np.int64),  # number of the request within its phase, over all workers
        ("intended_ns", np.int64),  # due by the schedule
        ("dispatched_ns", np.int64),  # the client got round to it
        ("sent_ns", np.int64),  # a connection was free, bytes written
        ("done_ns", np.int64),  # the answer was complete, or the client gave up
        ("payload", np.int32),  # index into the payload pool
        ("status", np.int32),  # HTTP status or gRPC code as the peer sent it; -1: it sent none
        ("bytes_in", np.int32),  # size of the answer's body
        ("error", np.uint16),  # interned text (kind "error"), 0: none
        ("version", np.uint16),  # interned text (kind "version"), 0: none stamped
        ("phase", np.uint16),  # index into the run's phases
        ("outcome", np.uint8),  # Outcome
        ("arm", np.uint8),  # who it went to: 0 the target (or baseline), 1 the canary (or second instance)
        ("worker", np.uint8),  # engine process that sent it
        ("attempts", np.uint8),  # how often it was sent; above 1 where clients retry
        ("mirror", np.uint8),  # 1: a copy for comparison that no user waits for; same phase and seq as its original
        ("agrees", np.uint8),  # of a mirror: Agreement with the answer of its original
        ("score", np.float32),  # the prediction where it is a number (and scores are asked for), else NaN
    ]
)
"""One sample, as engine processes write it and sample files keep it."""


class Status(StrEnum):
    """How a check or a run ended. Inconclusive and invalid are never green."""

    PASS = "pass"  # noqa: S105  a verdict, not a secret
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at an instant: a phase change, a deploy, a fault, a client warning."""

    t_ns: int
    kind: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reading:
    """One value a probe read from outside: e.g. source "process", name "uss_bytes"."""

    t_ns: int
    source: str
    name: str
    value: float
    arm: int = 0


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of load as it was planned, and when it ran."""

    index: int
    name: str
    arrival: str
    rate_rps: float
    duration_s: float
    planned: int
    start_ns: int
    measured: bool = True
    """False for warm-up and search steps that no SLO binds."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided confidence interval; either end may be unknown (None)."""

    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Quantile:
    """One percentile of a distribution in milliseconds.

    `value` is None when the sample cannot support it (`needs` says how many would); `censored` when
    it falls into the timeouts, so the true value is at least `value`.
    """

    q: float
    value: float | None
    interval: Interval
    censored: bool = False
    needs: int | None = None


@dataclass(frozen=True, slots=True)
class Distribution:
    """A summary of durations: n, percentiles with intervals, the maximum."""

    n: int
    quantiles: Mapping[str, Quantile]
    """Keys "p50", "p90", "p95", "p99", "p99_9", "p99_99"."""
    max_ms: float | None
    mean_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Validity:
    """One item of the closed list of reasons why a measurement may not be believed."""

    code: str
    ok: bool
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One verdict: what was observed, against which limit, with which interval."""

    name: str
    status: Status
    observed: float | None
    limit: float | None
    unit: str
    interval: Interval
    evidence: str
    settle: str = ""
    """For an inconclusive check: what would settle it."""
    cause: str = ""
    """For a failed check: the diagnosis, a code of `proofload.verdict.causes`; empty: none could be told."""


@dataclass(frozen=True, slots=True)
class PhaseSummary:
    """What a phase did, in numbers."""

    name: str
    planned: int
    outcomes: Mapping[str, int]
    offered_rps: float
    goodput_rps: float
    latency: Distribution
    service: Distribution
    connection_wait: Distribution
    duration_s: float
    excluded: int = 0
    """Samples left out as warm-up; counted in `planned` and `outcomes`' sum plus this."""
    measured: bool = True
    delivery: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class ClientHealth:
    """The client as a suspect: how late it sent, how busy it was, over all engine processes."""

    send_lag: Distribution
    cpu_share: float | None
    """Largest share of one core that any engine process used, 0 to 1."""
    cores: int
    """Engine processes that told of themselves; one at the least."""
    runqueue_share: float | None = None
    """Largest share of time an engine process was runnable and waited for a core."""
    loop_stalls: int = 0
    gc_pause_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Capacity:
    """The highest offered rate that held the SLO, the rates that were tried, and the curve's knee."""

    rate_rps: float | None
    interval: Interval
    confirmed: bool
    steps: tuple[Mapping[str, Any], ...]
    """Per step: rate_rps, status, p50_ms, p99_ms, goodput_rps, ok_share, purpose (search|confirm)."""
    knee_rps: float | None
    censored: str = ""
    """Why the rate is only a bound: "client" (the client was the limit), "max_rate", or empty."""


@dataclass(frozen=True, slots=True)
class Energy:
    """What the boards of the target's accelerators took while it answered; nothing of the rest of the machine."""

    per_million_j: float
    """Joules for a million correct predictions."""
    interval: Interval
    joules: float
    predictions: int
    covered_s: float
    """For so long it was measured, and the predictions counted."""
    mean_w: float
    by: str
    """ "counter": the boards' own; "power": readings of power, integrated."""
    idle_share: float | None
    """The part that the same boards would have taken without load; None: they were not read at rest."""
    detail: str


@dataclass(frozen=True, slots=True)
class Cost:
    """Money per million correct predictions, or why there is none."""

    per_million: float | None
    interval: Interval
    currency: str
    priced: bool
    detail: str
    """The arithmetic in words, prices with region, date and source; or why it is unpriced."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    energy: Energy | None = None
    """Of the measured phase, whatever the verdict; None where no meter was read."""


@dataclass(frozen=True, slots=True)
class Result:
    """result.json, schema proofload.result/1 (see store/result_json.py for the JSON form)."""

    scenario: str
    procedure: str
    target: Mapping[str, Any]
    status: Status
    validity: tuple[Validity, ...]
    checks: tuple[Check, ...]
    phases: tuple[PhaseSummary, ...]
    client: ClientHealth | None
    cost: Cost | None
    environment: Mapping[str, Any]
    command: str
    started_at: str
    duration_s: float
    canary: Mapping[str, Any] | None = None
    capacity: Capacity | None = None
    headline: tuple[str, ...] = ()
    """Sentences that answer the question asked, made from the data."""
    warmup: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    """What the procedure found besides its checks, as plain JSON data; its report draws from it."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples as columns, one row each, in order of `intended_ns`.

    `table` is a structured array of SAMPLE_DTYPE. Durations are derived, so that a definition stands
    in one place only.
    """

    table: NDArray[Any]

    def __len__(self) -> int:
        return len(self.table)

    @property
    def outcome(self) -> NDArray[np.uint8]:
        return self.table["outcome"]

    @property
    def latency_ns(self) -> NDArray[np.int64]:
        """done − intended: what a user feels. Only where done_ns > 0."""
        return self._between("intended_ns", "done_ns")

    @property
    def service_ns(self) -> NDArray[np.int64]:
        """done − sent: the target and the wire. Only where sent_ns > 0."""
        return self._between("sent_ns", "done_ns")

    @property
    def send_lag_ns(self) -> NDArray[np.int64]:
        """dispatched − intended: the client's own fault. Only where dispatched_ns > 0."""
        return self._between("intended_ns", "dispatched_ns")

    @property
    def connection_wait_ns(self) -> NDArray[np.int64]:
        """sent − dispatched: waiting for a connection. Only where sent_ns > 0."""
        return self._between("dispatched_ns", "sent_ns")

    def _between(self, earlier: str, later: str) -> NDArray[np.int64]:
        spans: NDArray[np.int64] = self.table[later] - self.table[earlier]
        return spans

    def where(self, mask: NDArray[np.bool_]) -> Samples:
        return Samples(self.table[mask])
