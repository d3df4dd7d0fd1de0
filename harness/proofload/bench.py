"""What a procedure may do to the world: load, look, pause, note. The lab's hand for `procedures.Bench`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from time import monotonic_ns
from typing import Any

import numpy as np

from proofload.engine.client import Engine, Stretch
from proofload.engine.recorder import Recorder
from proofload.procedures import Circumstances
from proofload.progress import Progress
from proofload.records import Event, Outcome, Phase, Samples
from proofload.runtimes import Server
from proofload.store.folder import RunFolder
from proofload.store.record import RunRecord


class LabBench:
    """See `proofload.procedures.Bench`. Watches over the target's life while load runs."""

    def __init__(self, engine: Engine, folder: RunFolder, server: Server, progress: Progress) -> None:
        self._engine = engine
        self._folder = folder
        self._server = server
        self._progress = progress

    def load(self, *stretches: Stretch) -> Sequence[Phase]:
        first = stretches[0]
        name = first.name if len(stretches) == 1 else " → ".join(stretch.name for stretch in stretches)
        self._progress.phase_started(name, first.rate_rps, sum(stretch.duration_s for stretch in stretches))
        indices = self._engine.run(stretches, self._tick)
        phases = [phase for phase in RunRecord(self._folder.path).phases if phase.index in indices]
        self._tell(name, phases)
        return phases

    def samples(self, phase: Phase) -> Samples:
        return RunRecord(self._folder.path).samples(phase.index)

    def circumstances(self) -> Circumstances:
        return Circumstances.of(RunRecord(self._folder.path))

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)
        self._server.check_alive()

    def note(self, kind: str, **detail: Any) -> None:
        self._folder.add_event(Event(monotonic_ns(), kind, detail))

    def _tick(self, recorder: Recorder, left_s: float) -> None:
        self._server.check_alive()
        live = recorder.live()
        self._progress.tick(
            due_rps=live.due_rps,
            done_rps=live.done_rps,
            p50_ms=live.p50_ms,
            p99_ms=live.p99_ms,
            not_ok=live.not_ok,
            send_lag_ms=live.send_lag_ms,
            left_s=left_s,
        )

    def _tell(self, name: str, phases: Sequence[Phase]) -> None:
        planned = ok = 0
        answered = []
        for phase in phases:  # one at a time: a long run's samples are large
            table = self.samples(phase).table
            planned += len(table)
            ok += int(np.count_nonzero(table["outcome"] == Outcome.OK))
            answered.append((table["done_ns"] - table["intended_ns"])[table["done_ns"] > 0])
        latency = np.concatenate(answered) / 1e6
        middle, tail = np.quantile(latency, [0.5, 0.99]) if len(latency) else (None, None)
        self._progress.phase_done(
            name,
            done_rps=ok / sum(phase.duration_s for phase in phases),
            p50_ms=middle,
            p99_ms=tail,
            not_ok=planned - ok,
        )
