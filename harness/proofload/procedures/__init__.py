"""Kinds of experiment. One file each, found by discovery, read as a sequence of phases.

A procedure module defines

    Settings                      the scenario's keys: proofload.scenarios.Scenario and its own
    create() -> Procedure

and optionally

    STARTS_ITS_TARGETS = True     it starts the targets itself (`Bench.start`); otherwise the target is up, ready
                                  and on arm 0 before `conduct` is called
    requests(scenario, payloads: Path, folder: Path) -> Path
                                  writes the payload file that is sent, made from the target's, into the run folder

`Settings` may answer `needs_target`, `canary` and `forcing_header` in its own way (see `Scenario`).

`conduct` drives the target and decides nothing final; `judge` computes every number again from the run
folder, so that `proofload report` and the run itself cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from proofload import brokers
from proofload.engine.client import Stretch
from proofload.records import Capacity, Check, ClientHealth, Cost, Event, Phase, PhaseSummary, Samples, Validity
from proofload.runtimes import Server
from proofload.scenarios import Scenario
from proofload.store.record import Series
from proofload.target_model import Target
from proofload.watchdog import Watchdog


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
    closed_loops: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """By phase, where users who wait for their answers sent: how many `users`, and requests `held_up`, `of` all."""
    payload_bytes: float = 0.0
    """Mean size of a request's body."""
    versions: Mapping[int, str] = field(default_factory=dict)
    """Interned version stamps by number, as far as any answer bore them."""
    runtime: str = ""
    """The name of the one that the run's target lives in."""

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
            embedded_broker=any(
                event.detail["facts"].get("broker", {}).get("kind") == brokers.KIND
                for event in evidence.events
                if event.kind == "server" and "facts" in event.detail
            ),
            closed_loops={
                event.detail["phase"]: event.detail for event in evidence.events if event.kind == "closed-loop"
            },
            payload_bytes=run["payloads"]["mean_bytes"],
            versions={number: text for (kind, number), text in evidence.names.items() if kind == "version"},
            runtime=run["placement"]["runtime"],
        )


class Running(Protocol):
    """Load that is under way."""

    @property
    def start_ns(self) -> int:
        """When the first phase begins."""

    def wait(self, seconds: float) -> bool:
        """Let time pass. False once every request is final. Raises what ends the run: Ctrl-C, a dead target."""

    def taken(self) -> Samples:
        """The requests that became final since the last call, in order of due time."""

    def cut(self) -> None:
        """End the load here, as a plan would: nothing more falls due; what is on its way is waited for."""


class Bench(Protocol):
    """What a procedure may do to the world while it conducts."""

    @property
    def target(self) -> Target | None:
        """The run's target; None where a scenario does without."""

    @property
    def canary(self) -> Target | None:
        """The second version, where the scenario names one (`canary`)."""

    def start(
        self, target: Target, *, arm: int = 0, essential: bool = True, env: Mapping[str, str] | None = None
    ) -> Server:
        """Start an instance of a target (or find it running) and let the engine reach it as this arm.

        It is probed and watched over; when an `essential` one dies, what runs then raises TargetError. Returns when
        it is ready. What was on this arm must have been stopped before. Raises TargetError as `Runtime.start`.
        """

    def aim(self, arm: int, target: Target, *, arm_header: str = "") -> None:
        """Let the engine reach `target`, which is up, as this arm: a router, say. `arm_header`: the response
        header whose value "canary" or "baseline" says which arm answered."""

    def stop(self, arm: int) -> None:
        """Stop the instance on this arm (SIGTERM, its drain time, then kill)."""

    def split(self, shares: Mapping[int, float]) -> None:
        """Give each arm its share of the users (of the requests, where payloads name no user), from now on.

        By a stable hash: an arm that grows keeps the users it has. Payloads that carry the scenario's canary
        header go to arm 1 whatever its share.
        """

    def loading(self, *stretches: Stretch) -> AbstractContextManager[Running]:
        """Phases back to back, while the block goes on. On leaving, all requests are waited for; when the block
        raises, the load is cut."""

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

    def keep(self, name: str, content: bytes) -> None:
        """Keep an input or a finding as the file `name` in the run folder (see `Evidence.path`)."""

    def scratch(self, name: str) -> Path:
        """A folder of this name in the run folder's `logs`, made now."""

    @property
    def watchdog(self) -> Watchdog:
        """Ends what is started through it, however the lab ends."""


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
    def path(self) -> Path: ...

    @property
    def complete(self) -> bool: ...

    def samples(self, phase: int | None = None) -> Samples: ...

    def readings(self) -> Mapping[tuple[int, str, str], Series]:
        """Probe readings by (arm, source, name)."""

    def users(self) -> NDArray[np.int32] | None:
        """The number of the user of each payload (-1: none named); None where no payload names one."""

    def answers(self) -> Iterator[Mapping[str, Any]]:
        """Answers of phases that were captured: {"phase", "seq", "arm", "payload", "answer"}."""


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
    details: Mapping[str, Any] = field(default_factory=dict)
    """What was found besides, as plain JSON data: into result.json, and to the procedure's report section."""

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
