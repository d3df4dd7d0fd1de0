"""The servers of a run, by arm: started, found, watched over, probed, stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from proofload.discovery import implementations, module_for
from proofload.errors import TargetError
from proofload.probes import Subject
from proofload.probes._loop import ProbeLoop
from proofload.runtimes import Placement, Runtime, Server
from proofload.runtimes._choose import default_runtime
from proofload.store.folder import RunFolder
from proofload.target_model import Target
from proofload.watchdog import Watchdog


@dataclass(frozen=True, slots=True)
class Grounds:
    """Where the servers of a run live, and on what."""

    runtime: str
    """A runtime's name, or "auto": the one that suits each target."""
    device: str
    cpus: Sequence[int]
    logs: Path
    watchdog: Watchdog
    values: Mapping[str, str]
    """Values of placeholders that the run knows: {timeout_ms}."""

    def runtime_for(self, target: Target) -> str:
        return default_runtime(target) if self.runtime == "auto" else self.runtime


@dataclass(frozen=True, slots=True)
class Berth:
    """One server on its arm, and what ends with it."""

    server: Server
    essential: bool
    stack: ExitStack
    loops: list[ProbeLoop] = field(default_factory=list)


class Fleet:
    """Leaving it stops what is still up, the newest first."""

    def __init__(self, grounds: Grounds) -> None:
        self.grounds = grounds
        self._berths: dict[int, Berth] = {}
        self._starts = 0
        self._lost: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        with ExitStack() as stack:  # one that fails to stop keeps none of the others up
            for arm in self._berths:
                stack.callback(self.stop, arm)

    def start(
        self, target: Target, *, arm: int = 0, essential: bool = True, env: Mapping[str, str] | None = None
    ) -> Server:
        """See `proofload.procedures.Bench.start`; nothing is recorded or probed yet."""
        if arm in self._berths:
            raise RuntimeError(f"arm {arm} is taken: stop what is on it first")
        self._starts += 1
        logs = self.grounds.logs if self._starts == 1 else self.grounds.logs / f"start-{self._starts}"
        logs.mkdir(parents=True, exist_ok=True)
        runtime: Runtime = module_for("runtime", self.grounds.runtime_for(target)).create()
        placement = Placement(
            log_dir=logs,
            cpus=self.grounds.cpus,
            device=self.grounds.device,
            env=env or {},
            arm=arm,
            watchdog=self.grounds.watchdog,
        )
        with ExitStack() as stack:
            server = stack.enter_context(runtime.start(target.filled(self.grounds.values), placement))
            self._berths[arm] = Berth(server, essential, stack.pop_all())
        self._lost.discard(arm)
        return server

    def probe(self, arm: int, folder: RunFolder) -> None:
        """Read the server on this arm into the run folder, until it is stopped."""
        berth = self._berths[arm]
        target = berth.server.target
        subject = Subject(
            arm=arm,
            pids=berth.server.pids,
            metrics_url=target.metrics_url or "",
            live_url=target.live_url or target.ready_url or "",
            container_id=berth.server.container_id,
        )
        probes = [(name, probe) for name, module in _probes() if (probe := module.create(subject)) is not None]
        berth.loops.append(ProbeLoop(probes, folder.add_readings, folder.add_event).__enter__())

    def stop(self, arm: int) -> None:
        """Stop the server on this arm; nothing happens where there is none."""
        berth = self._berths.pop(arm, None)
        if berth is None:
            return
        for loop in berth.loops:
            loop.halt()
        try:
            berth.stack.close()  # at once, though a probe may be reading: what is in flight now is what matters
        finally:
            for loop in berth.loops:
                loop.__exit__(None, None, None)

    def check_alive(self) -> Iterator[tuple[int, TargetError]]:
        """Raises TargetError when an essential server is gone; gives the others, each once, as (arm, why)."""
        for arm, berth in list(self._berths.items()):
            if berth.essential:
                berth.server.check_alive()
            elif arm not in self._lost:
                try:
                    berth.server.check_alive()
                except TargetError as exc:
                    self._lost.add(arm)
                    yield arm, exc


def _probes() -> Iterator[tuple[str, Any]]:
    for name, found in implementations("probe").items():
        if found.module is not None:
            yield name, found.module
