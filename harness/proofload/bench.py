"""What a procedure may do to the world. The lab's hand for `procedures.Bench`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic_ns
from typing import Any

from proofload.engine.client import Engine, Load, Stretch
from proofload.engine.recorder import Recorder
from proofload.engine.worker import ArmSpec
from proofload.errors import InputError
from proofload.fleet import Fleet
from proofload.procedures import Circumstances
from proofload.progress import Progress
from proofload.records import Event, Phase, Samples
from proofload.runtimes import Server
from proofload.scenarios import Scenario
from proofload.store.folder import RunFolder, write_whole
from proofload.store.record import RunRecord
from proofload.target_model import Target
from proofload.watchdog import Watchdog


class LabBench:
    """See `proofload.procedures.Bench`. Watches over the servers' lives while load runs."""

    def __init__(
        self,
        scenario: Scenario,
        fleet: Fleet,
        folder: RunFolder,
        *,
        engine: Engine | None,
        progress: Progress,
        target: Target | None,
        canary: Target | None,
    ) -> None:
        self._scenario = scenario
        self._fleet = fleet
        self._folder = folder
        self._maybe_engine = engine
        self._progress = progress
        self.target = target
        self.canary = canary
        self.has_loaded = False
        """Whether any load was sent."""

    @property
    def watchdog(self) -> Watchdog:
        return self._fleet.grounds.watchdog

    # Servers.

    def start(
        self, target: Target, *, arm: int = 0, essential: bool = True, env: Mapping[str, str] | None = None
    ) -> Server:
        self._progress.message(f"{target.name}: starting" if arm == 0 else f"{target.name}: starting as arm {arm}")
        server = self._fleet.start(target, arm=arm, essential=essential, env=env)
        self.welcome(server, arm)
        return server

    def welcome(self, server: Server, arm: int) -> None:
        """A server is up: record it, probe it, let the engine reach it."""
        for instant, at_ns in sorted(server.timeline.items(), key=lambda item: item[1]):
            self._event(at_ns, "target", instant=instant.removesuffix("_ns"), arm=arm)
        self.note("server", what="started", arm=arm, name=server.target.name, facts=dict(server.facts()))
        self._fleet.probe(arm, self._folder)
        own = "" if arm == 0 or self._scenario.payloads_path else str(server.target.payloads_path or "")
        self._engine.open(arm, self._arm(server.target, payloads=own))

    def aim(self, arm: int, target: Target, *, arm_header: str = "") -> None:
        self._engine.open(arm, self._arm(target, arm_header=arm_header))

    def stop(self, arm: int) -> None:
        self.note("server", what="stopping", arm=arm)
        self._fleet.stop(arm)
        self.note("server", what="stopped", arm=arm)

    def split(self, shares: Mapping[int, float]) -> None:
        self._engine.split(shares)

    # Load.

    @contextmanager
    def loading(self, *stretches: Stretch) -> Iterator[Load]:
        first = stretches[0]
        name = first.name if len(stretches) == 1 else " → ".join(stretch.name for stretch in stretches)
        planned_s = sum(stretch.duration_s for stretch in stretches)
        self.has_loaded = True
        self._progress.phase_started(name, first.rate_rps, planned_s)
        with self._engine.running(stretches, self._tick) as load:
            yield load
        ran_s = (load.spans[-1][1] - load.start_ns) / 1e9
        self._progress.phase_done(name, self._engine.summary(), ran_s)

    def load(self, *stretches: Stretch) -> Sequence[Phase]:
        with self.loading(*stretches) as load:
            pass
        return [phase for phase in RunRecord(self._folder.path).phases if phase.index in load.phases]

    def pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(0.5, left))
            self._check_alive()

    # The record.

    def samples(self, phase: Phase) -> Samples:
        return RunRecord(self._folder.path).samples(phase.index)

    def circumstances(self) -> Circumstances:
        return Circumstances.of(RunRecord(self._folder.path))

    def note(self, kind: str, **detail: Any) -> None:
        self._event(monotonic_ns(), kind, **detail)

    def keep(self, name: str, content: bytes) -> None:
        write_whole(self._folder.path / name, content)

    def scratch(self, name: str) -> Path:
        made = self._folder.logs / name
        made.mkdir(parents=True, exist_ok=True)
        return made

    @property
    def _engine(self) -> Engine:
        if self._maybe_engine is None:
            raise InputError(
                f"the scenario {self._scenario.name} has no target to send to", remedy="name one with --target"
            )
        return self._maybe_engine

    def _arm(self, target: Target, *, payloads: str = "", arm_header: str = "") -> ArmSpec:
        response = target.response.model_dump(exclude_none=True)
        if arm_header:
            response["arm_header"] = arm_header
        return ArmSpec(
            transport=target.transport,
            url=target.url,
            headers=target.request.headers,
            connections=self._scenario.connections,
            request=target.request_table,
            response=response,
            payloads=payloads,
        )

    def _event(self, t_ns: int, kind: str, **detail: Any) -> None:
        self._folder.add_event(Event(t_ns, kind, detail))

    def _check_alive(self) -> None:
        for arm, exc in self._fleet.check_alive():
            self.note("server-died", arm=arm, what=exc.what, evidence=exc.evidence, cause=exc.cause)

    def _tick(self, recorder: Recorder, left_s: float) -> None:
        self._check_alive()
        self._progress.tick(recorder.live(), left_s)
