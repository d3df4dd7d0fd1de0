"""Kinds of experiment. One file each, found by discovery, read as a sequence of phases.

A procedure module defines

    Settings                      the scenario's keys: proofload.scenarios.Scenario and its own
    create() -> Procedure

`conduct` drives the target and decides nothing final; `judge` computes every number again from the run
folder, so that `proofload report` and the run itself cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from proofload import brokers
from proofload.engine.client import Stretch
from proofload.records import Capacity, Check, ClientHealth, Cost, Event, Phase, PhaseSummary, Samples, Validity
from proofload.scenarios import Scenario


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a phase is judged by besides its samples."""

    names: Mapping[int, str]
    """Interned error texts by number."""
    worker_stats: Sequence[Mapping[str, Any]]
    answers_checked: bool
    """Whether any payload says what is expected."""
    unchecked: Sequence[int] = ()
    """Payloads that do not, where others do."""
    shared_cores: Sequence[int] = ()
    embedded_broker: bool = False
    """Whether requests went through the broker that forgets what it holds too much of."""
    payload_bytes: float = 0.0
    """Mean size of a request's body."""

    @staticmethod
    def of(evidence: Evidence) -> Circumstances:
        """From a run folder, complete or not."""
        run = evidence.run
        return Circumstances(
            names={number: text for (kind, number), text in evidence.names.items() if kind == "error"},
            worker_stats=[{**event.detail, "t_ns": event.t_ns} for event in evidence.events if event.kind == "health"],
            answers_checked=bool(run["payloads"]["with_expectation"]),
            unchecked=run["payloads"]["unchecked"],
            shared_cores=run["placement"]["shared_cores"],
            embedded_broker=run["placement"]["server"].get("broker", {}).get("kind") == brokers.KIND,
            payload_bytes=run["payloads"]["mean_bytes"],
        )


class Bench(Protocol):
    """What a procedure may do to the world while it conducts."""

    def load(self, *stretches: Stretch) -> Sequence[Phase]:
        """Run phases back to back and wait until every request of them is final."""

    def samples(self, phase: Phase) -> Samples:
        """What the phase recorded."""

    def circumstances(self) -> Circumstances:
        """What is known of the run so far besides its samples."""

    def pause(self, seconds: float) -> None:
        """Let the target rest. Raises what ends the run: a dead target, Ctrl-C."""

    def note(self, kind: str, **detail: Any) -> None:
        """Write an event into the run folder."""


class Evidence(Protocol):
    """What a procedure may judge by: a run folder, read back."""

    @property
    def run(self) -> Mapping[str, Any]: ...

    @property
    def phases(self) -> Sequence[Phase]: ...

    @property
    def events(self) -> Sequence[Event]: ...

    @property
    def names(self) -> Mapping[tuple[str, int], str]: ...

    @property
    def complete(self) -> bool: ...

    def samples(self, phase: int | None = None) -> Samples: ...


@dataclass(frozen=True, slots=True)
class Findings:
    """What a procedure concludes from a run folder."""

    phases: tuple[PhaseSummary, ...]
    checks: tuple[Check, ...]
    validity: tuple[Validity, ...]
    client: ClientHealth | None = None
    capacity: Capacity | None = None
    cost: Cost | None = None
    warmup: Mapping[str, Any] = field(default_factory=dict)
    headline: tuple[str, ...] = ()
    """Sentences of the procedure's own that answer the question asked; empty: the report makes them."""

    @staticmethod
    def nothing(evidence: Evidence) -> Findings:
        """No phase ran."""
        detail = ended_early(evidence) or "no phase of load ran"
        return Findings((), (), (Validity("no-data", ok=False, detail=detail, remedy="run it again"),))


def ended_early(evidence: Evidence) -> str:
    """Why the run ended before its plan, or empty."""
    for event in evidence.events:
        if event.kind == "interrupted":
            return str(event.detail.get("reason", "interrupted"))
    return "" if evidence.complete else "the lab was killed before the run ended"


class Procedure(Protocol):
    def peak_rps(self, scenario: Scenario) -> float:
        """The highest rate it will ask for: sizes the engine's buffers."""

    def conduct(self, bench: Bench, scenario: Scenario) -> None:
        """Drive the target through the phases."""

    def judge(self, evidence: Evidence, scenario: Scenario) -> Findings:
        """Conclude. Works on a run that was cut short, too, and says so."""
