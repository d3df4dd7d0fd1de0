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

from proofload.engine.client import Stretch
from proofload.records import Capacity, Check, ClientHealth, Cost, Event, Phase, PhaseSummary, Samples, Validity
from proofload.scenarios import Scenario


class Bench(Protocol):
    """What a procedure may do to the world while it conducts."""

    def load(self, *stretches: Stretch) -> Sequence[Phase]:
        """Run phases back to back and wait until every request of them is final."""

    def samples(self, phase: Phase) -> Samples:
        """What the phase recorded."""

    def worker_stats(self) -> Sequence[Mapping[str, Any]]:
        """The engine processes' own readings so far."""

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

    def worker_stats(self) -> Sequence[Mapping[str, Any]]: ...


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


class Procedure(Protocol):
    def peak_rps(self, scenario: Scenario) -> float:
        """The highest rate it will ask for: sizes the engine's buffers."""

    def conduct(self, bench: Bench, scenario: Scenario) -> None:
        """Drive the target through the phases."""

    def judge(self, evidence: Evidence, scenario: Scenario) -> Findings:
        """Conclude. Works on a run that was cut short, too, and says so."""
