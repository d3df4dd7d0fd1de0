"""A process tree that was started as a target: alive or not, what is known of it, and its end."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from proofload import _process_trees as trees
from proofload.errors import TargetError
from proofload.runtimes._diagnosis import Diagnosis, diagnose
from proofload.runtimes._log_file import LogFile
from proofload.runtimes._memory_limit import MemoryGroup
from proofload.target_model import Target

_STRAGGLER_GRACE_S = 1.0
"""How long what is left of a tree may take to end by itself after its root has."""


@dataclass(slots=True)
class Started:
    """One started target (see the protocol `Server`)."""

    target: Target
    process: subprocess.Popen[bytes]
    who: trees.Root
    token: str
    """Marks this target's processes, and no other's, in their environment."""
    log: LogFile
    cpus: Sequence[int]
    memory: MemoryGroup | None
    timeline: dict[str, int]
    described: dict[str, Any]
    """Facts known at the start."""
    also_alive: Callable[[], None] = field(default=lambda: None)
    """Checks what the target depends on (its broker); raises MeasurementError."""
    _stopped: dict[str, Any] = field(default_factory=dict)

    @property
    def pids(self) -> Sequence[int]:
        return (self.process.pid,)

    @property
    def container_id(self) -> str:
        return ""

    def check_alive(self) -> None:
        """Raises TargetError, with the end of its log, when the root has ended; MeasurementError for its broker."""
        exit_code = self.process.poll()
        if exit_code is not None and not self._stopped:
            when = "during the run" if "ready_ns" in self.timeline else "before it was ready"
            raise self.death(f"target {self.target.name} died {when}", self.diagnosis(exit_code))
        self.also_alive()

    def confirm_limits(self) -> None:
        """Once it is ready: records whether the memory limit really holds it."""
        if self.memory is not None:
            held = self.memory.holds(self.process.pid)
            note = {} if held else {"memory_note": "memory limit not enforced: the process could not join its group"}
            self.described["limits"] |= {"memory_enforced": held, **note}

    def facts(self) -> Mapping[str, Any]:
        log = {"log": str(self.log.path), "log_bytes_cut": self.log.cut_bytes}
        return {"runtime": "process", **self.described, **log, **self._stopped}

    def tree(self) -> dict[int, trees.Process]:
        """Everything that belongs to it and lives."""
        return trees.belonging([self.who], self.token)

    def diagnosis(self, exit_code: int) -> Diagnosis:
        out_of_memory = self.memory is not None and self.memory.killed_for_memory()
        return diagnose(exit_code, self.log.tail(200), out_of_memory=out_of_memory)

    def death(self, what: str, why: Diagnosis) -> TargetError:
        """The error that tells of its end."""
        return TargetError(
            f"{what}: it {why.ended}",
            evidence=self.log_end(),
            cause=why.cause,
            remedy=f"{why.remedy}; {self._by_hand()}",
        )

    def log_end(self) -> str:
        """The last lines of its log, headed, or that there are none."""
        tail = self.log.tail()
        return f"the end of {self.log.path}:\n{tail}" if tail else f"its log is empty ({self.log.path})"

    def stop(self, grace_s: float) -> None:
        """SIGTERM to the root, so that a server drains; SIGKILL to what is left. Idempotent."""
        if self._stopped:
            return
        died_before = self.process.poll() is not None
        forced = True
        try:
            self._stopped["stopped_cleanly"] = False
            began = time.monotonic()
            self.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(grace_s)
                self._wait_for_stragglers()
                forced = False
            self._stopped["stop_s"] = round(time.monotonic() - began, 3)
        finally:
            ending = trees.end(self.tree, 0, quiet_scans=1)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(1.0)
            self.log.close()
            if self.memory is not None:
                self.memory.remove()
        self._stopped |= {
            "stopped_cleanly": not (forced or died_before or ending.killed),
            "exit_code": self.process.returncode,
            "killed": len(ending.killed),
            "survivors": sorted(ending.survivors),
        }

    def _wait_for_stragglers(self) -> None:
        patience = time.monotonic() + _STRAGGLER_GRACE_S
        while self.tree() and time.monotonic() < patience:
            time.sleep(0.01)

    def _by_hand(self) -> str:
        return f"its command was: {subprocess.list2cmdline(self.described['command'])}"
