"""A bench in virtual time: procedures run against a simulated target, and leave a real run folder behind.

    with simulated_run(path, scenario, queue(mean_service_s=0.001)) as bench:
        Capacity().conduct(bench, scenario)
    result = judge(RunRecord(path))

Hours of load take moments, and what the target can do is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.clock import NS_PER_S
from proofload.engine.client import Stretch
from proofload.engine.schedule import PhasePlan, share
from proofload.procedures import Circumstances
from proofload.records import SAMPLE_DTYPE, Event, Outcome, Phase, Reading, Samples
from proofload.runtimes import Server
from proofload.scenarios import Scenario
from proofload.store.folder import RunFolder
from proofload.store.record import RunRecord
from proofload.testing.synthetic_run import SYNTHETIC_ENVIRONMENT
from proofload.watchdog import Watchdog

Target = Callable[[NDArray[np.int64], np.random.Generator], NDArray[np.int64]]
"""From the due times of a phase's requests (ns, rising) to the durations of their answers (ns)."""

_PAYLOADS = 256
_LAG_NS = 20_000
_BEGIN_NS = 1_000 * NS_PER_S


def queue(mean_service_s: float, *, exponential: bool = True) -> Target:
    """One server, first come first served: M/M/1 under Poisson arrivals, or M/D/1. Empty at a phase's start."""

    def serve(due_ns: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        n = len(due_ns)
        service = rng.exponential(mean_service_s, n) if exponential else np.full(n, mean_service_s)
        gaps = np.diff(due_ns) / NS_PER_S
        walk = np.concatenate(([0.0], np.cumsum(service[:-1] - gaps)))  # Lindley's recursion, unrolled
        waits = walk - np.minimum.accumulate(walk)
        return np.asarray((waits + service) * NS_PER_S, dtype=np.int64)

    return serve


class SimulatedBench:
    """See `proofload.procedures.Bench`. The client is perfect but for `lag_ns` between due and sent."""

    def __init__(self, folder: RunFolder, scenario: Scenario, target: Target, *, lag_ns: int = _LAG_NS) -> None:
        self._folder = folder
        self._scenario = scenario
        self._target = target
        self._lag_ns = lag_ns
        self._now_ns = _BEGIN_NS
        self._phases = 0
        self.loads: list[Stretch] = []
        """What the procedure asked for, in order."""

    def load(self, *stretches: Stretch) -> Sequence[Phase]:
        first = self._phases
        for stretch in stretches:
            self.loads.append(stretch)
            self._run(stretch)
        return [phase for phase in self._record().phases if phase.index >= first]

    def samples(self, phase: Phase) -> Samples:
        return self._record().samples(phase.index)

    def circumstances(self) -> Circumstances:
        return Circumstances.of(self._record())

    def pause(self, seconds: float) -> None:
        self._now_ns += round(seconds * NS_PER_S)

    def probed(self, source: str, name: str, values: Callable[[float], float], *, interval_s: float = 0.5) -> None:
        """Readings of a probe from the begin of the run until now: `values` of the seconds since then."""
        instants = range(_BEGIN_NS, self._now_ns, round(interval_s * NS_PER_S))
        readings = [Reading(at, source, name, float(values((at - _BEGIN_NS) / NS_PER_S))) for at in instants]
        self._folder.add_readings(readings)

    def note(self, kind: str, **detail: Any) -> None:
        self._folder.add_event(Event(self._now_ns, kind, detail))

    @contextmanager
    def loading(self, *stretches: Stretch) -> Iterator[_Ran]:
        """The load is over before the block begins: what a procedure does meanwhile, it does afterwards."""
        start_ns = self._now_ns
        phases = self.load(*stretches)
        yield _Ran(start_ns, [self.samples(phase) for phase in phases])

    def start(
        self, target: Any, *, arm: int = 0, essential: bool = True, env: Mapping[str, str] | None = None
    ) -> Server:
        raise NotImplementedError("nothing can be started in virtual time")

    def aim(self, arm: int, target: Any, *, arm_header: str = "") -> None:
        self.note("aim", arm=arm, target=str(target), arm_header=arm_header)

    def stop(self, arm: int) -> None:
        self.note("server", what="stopped", arm=arm)

    def split(self, shares: Mapping[int, float]) -> None:
        self.note("split", worker=0, shares={str(arm): share for arm, share in shares.items()})

    def keep(self, name: str, content: bytes) -> None:
        (self._folder.path / name).write_bytes(content)

    def scratch(self, name: str) -> Path:
        made = self._folder.logs / name
        made.mkdir(parents=True, exist_ok=True)
        return made

    @property
    def target(self) -> None:
        """There is none in virtual time."""

    @property
    def canary(self) -> None:
        """There is none in virtual time."""

    @property
    def watchdog(self) -> Watchdog:
        raise NotImplementedError("nothing can be started in virtual time")

    def _record(self) -> RunRecord:
        return RunRecord(self._folder.path)

    def _run(self, stretch: Stretch) -> None:
        index, start_ns = self._phases, self._now_ns
        self._phases += 1
        plan = PhasePlan(
            index, stretch.name, stretch.arrival, stretch.rate_rps, stretch.duration_s, stretch.seed, stretch.shape
        )
        detail = {key: value for key, value in asdict(plan).items() if key != "index"}
        self.note("phase", phase=index, start_ns=start_ns, measured=stretch.measured, **detail)
        planned = 0
        blocks = list(share(plan, payloads=_PAYLOADS, worker=0, workers=1))
        if blocks:
            rows = self._rows(index, start_ns, blocks, stretch.seed)
            planned = len(rows)
            self._folder.add_samples(rows)
        for second in range(round(stretch.duration_s)):
            reading = {"worker": 0, "cpu_share": 0.1, "runqueue_share": 0.0, "loop_stalls": 0, "gc_pause_ms": 0.0}
            self._folder.add_event(Event(start_ns + (second + 1) * NS_PER_S, "health", reading))
        self._now_ns += round((stretch.duration_s + self._scenario.timeout_s) * NS_PER_S)
        self.note("phase-planned", phase=index, planned=planned)

    def _rows(self, index: int, start_ns: int, blocks: Sequence[Any], seed: int) -> NDArray[np.void]:
        due = np.concatenate([block.due_ns for block in blocks])
        took = self._target(due, np.random.default_rng([seed, 7]))
        timeout_ns = round(self._scenario.timeout_s * NS_PER_S)
        gave_up = took + self._lag_ns > timeout_ns
        late = took + self._lag_ns > round(self._scenario.deadline_s * NS_PER_S)
        rows = np.zeros(len(due), dtype=SAMPLE_DTYPE)
        rows["seq"] = np.concatenate([block.seq for block in blocks])
        rows["payload"] = np.concatenate([block.payload for block in blocks])
        rows["phase"] = index
        rows["intended_ns"] = start_ns + due
        rows["dispatched_ns"] = rows["sent_ns"] = rows["intended_ns"] + self._lag_ns
        rows["done_ns"] = rows["sent_ns"] + np.minimum(took, timeout_ns - self._lag_ns)
        rows["status"] = np.where(gave_up, -1, 200)
        rows["outcome"] = np.where(gave_up, Outcome.TIMEOUT, np.where(late, Outcome.LATE, Outcome.OK))
        return rows


class _Ran:
    """Load that is over: see `proofload.procedures.Running`."""

    def __init__(self, start_ns: int, samples: Sequence[Samples]) -> None:
        self.start_ns = start_ns
        self._samples = list(samples)

    def wait(self, seconds: float) -> bool:
        del seconds  # all of them have passed
        return False

    def taken(self) -> Samples:
        tables = [one.table for one in self._samples] or [np.zeros(0, SAMPLE_DTYPE)]
        self._samples = []
        return Samples(np.concatenate(tables))

    def cut(self) -> None:
        """Nothing is left to cut."""


@contextmanager
def simulated_run(
    path: Path, scenario: Scenario, target: Target, *, lag_ns: int = _LAG_NS, runtime: str = "process"
) -> Iterator[SimulatedBench]:
    """A bench over a new run folder at `path`, which is complete when the block ends by itself."""
    path.mkdir(parents=True, exist_ok=True)
    folder = RunFolder(path, _run_json(scenario, runtime))
    bench = SimulatedBench(folder, scenario, target, lag_ns=lag_ns)
    try:
        yield bench
    except BaseException as exc:
        bench.note("interrupted", reason=type(exc).__name__)
        raise
    else:
        bench.note("run-complete")
    finally:
        folder.close()


def _run_json(scenario: Scenario, runtime: str) -> Mapping[str, Any]:
    return {
        "scenario": scenario.model_dump(mode="json"),
        "target": {"name": "simulated", "transport": "none"},
        "payloads": {
            "file": "",
            "count": _PAYLOADS,
            "with_expectation": _PAYLOADS,
            "unchecked": [],
            "mean_bytes": 0.0,
        },
        "placement": {
            "runtime": runtime,
            "device": "cpu",
            "engine_cores": [0],
            "target_cores": [] if runtime == "external" else [1],
            "shared_cores": [],
            "server": {},
        },
        "prices": {},
        "environment": SYNTHETIC_ENVIRONMENT,
        "host": {"host_id": "simulated", "wall_offset_ns": 0},
        "seed": scenario.seed,
        "command": "",
        "started_at": "2025-01-01T00:00:00+00:00",
    }
