"""A container that was started as a target: alive or not, what is known of it, and its end."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from docker.errors import NotFound
from docker.models.containers import Container

from proofload import _process_trees as trees
from proofload.clock import NS_PER_S
from proofload.errors import TargetError
from proofload.runtimes._container_engine import translated
from proofload.runtimes._diagnosis import Diagnosis, diagnose
from proofload.runtimes._log_file import LogFile
from proofload.target_model import Target

_SIGKILLED = 137
_LOG_PATIENCE_S = 3.0
_END_PATIENCE_S = 3.0
_REASON_PATIENCE_S = 1.0
_LOOK_EVERY_S = 0.5


@dataclass(slots=True)
class Contained:
    """One started container (see the protocol `Server`)."""

    target: Target
    container: Container
    log: LogFile
    cpus: Sequence[int]
    timeline: dict[str, int]
    described: dict[str, Any]
    """Facts known at the start."""
    root: trees.Root | None
    """Its first process, where the engine's processes are ours to see; another one once it was started again."""
    also_alive: Callable[[], None] = field(default=lambda: None)
    """Checks what the target depends on (its broker); raises MeasurementError."""
    _follower: threading.Thread | None = None
    _looked_s: float = 0.0
    _stopped: dict[str, Any] = field(default_factory=dict)

    @property
    def container_id(self) -> str:
        return str(self.container.id)

    @property
    def pids(self) -> Sequence[int]:
        return () if self.root is None else (self.root.pid,)

    def follow(self) -> None:
        """Copy what it writes into its log, from its first line on."""
        descriptor = os.dup(self.log.descriptor)  # its own: an engine may still be telling when the log is closed
        name = f"log {self.target.name}"
        self._follower = threading.Thread(target=self._copy, args=(descriptor,), name=name, daemon=True)
        self._follower.start()

    def check_alive(self) -> None:
        """Raises TargetError, with the end of its log, when its first process has ended."""
        if not self._stopped and self._seems_gone():
            with translated(f"target {self.target.name}"):
                state = self._state_with_its_reason()
            if not state.get("Running", False):
                when = "during the run" if "ready_ns" in self.timeline else "before it was ready"
                raise self.death(f"target {self.target.name} died {when}", state)
        self.also_alive()

    def facts(self) -> Mapping[str, Any]:
        log = {"log": str(self.log.path), "log_bytes_cut": self.log.cut_bytes}
        return {"runtime": "container", **self.described, **log, **self._stopped}

    def diagnosis(self, state: Mapping[str, Any]) -> Diagnosis:
        return diagnose(int(state["ExitCode"]), self.log.tail(200), out_of_memory=bool(state["OOMKilled"]))

    def death(self, what: str, state: Mapping[str, Any]) -> TargetError:
        """The error that tells of its end."""
        self._await_log()
        why = self.diagnosis(state)
        return TargetError(
            f"{what}: it {why.ended}",
            evidence=self.log_end(),
            cause=why.cause,
            remedy=f"{why.remedy}; its image was {self.described['image']}",
        )

    def log_end(self) -> str:
        """The last lines of its log, headed, or that there are none."""
        tail = self.log.tail()
        return f"the end of {self.log.path}:\n{tail}" if tail else f"its log is empty ({self.log.path})"

    def ended(self) -> Mapping[str, Any] | None:
        """Its state where it has ended; None while it runs."""
        state = self._state()
        return None if state.get("Running", False) else state

    def stop(self, grace_s: float) -> None:
        """SIGTERM to its first process, so that a server drains; then it is removed, whatever it does. Idempotent."""
        if self._stopped:
            return
        self._stopped["stopped_cleanly"] = False
        try:
            died_before = self.ended() is not None
            began = time.monotonic()
            self.container.stop(timeout=round(grace_s))
            took_s = time.monotonic() - began
            state = self._state()
            forced = state["ExitCode"] == _SIGKILLED
            self._stopped |= {
                "stopped_cleanly": not (forced or died_before),
                "stop_s": round(took_s, 3),
                "exit_code": state["ExitCode"],
                "out_of_memory": bool(state["OOMKilled"]),
            }
        except NotFound:
            self._stopped["removed_by_others"] = True
        finally:
            with suppress(NotFound):
                self.container.remove(force=True, v=True)
            self._await_log()
            self.log.close()

    def _seems_gone(self) -> bool:
        """A look into /proc where that is possible; the engine is asked seldom, for it has its share of the cores."""
        if self.root is not None:
            return self._first_process_is_gone()
        now = time.monotonic()
        if now - self._looked_s < _LOOK_EVERY_S:
            return False
        self._looked_s = now
        return True

    def _first_process_is_gone(self) -> bool:
        return self.root is not None and not trees.alive(self.root)

    def _state(self) -> Mapping[str, Any]:
        """Its state now; where its first process is gone, the engine is waited for: it notices the end, or tells of
        another first process."""
        patience = time.monotonic() + _END_PATIENCE_S
        while True:
            try:
                self.container.reload()
            except NotFound:
                return {"Running": False, "ExitCode": _SIGKILLED, "OOMKilled": False, "Removed": True}
            state: Mapping[str, Any] = self.container.attrs["State"]
            if self._first_process_is_gone():
                self.root = first_process(self.container) or self.root
            if not (state["Running"] and self._first_process_is_gone()) or time.monotonic() > patience:
                return state
            time.sleep(0.02)

    def _state_with_its_reason(self) -> Mapping[str, Any]:
        """Of one that was killed the engine may tell the end before it tells that memory was the reason: it hears of
        both from different sides."""
        patience = time.monotonic() + _REASON_PATIENCE_S
        while True:
            state = self._state()
            killed = not state["Running"] and state["ExitCode"] == _SIGKILLED and "Removed" not in state
            if not killed or state["OOMKilled"] or time.monotonic() > patience:
                return state
            time.sleep(0.05)

    def _copy(self, descriptor: int) -> None:
        try:
            with suppress(Exception):  # the engine ends, the disk is full: what was copied by then is what there is
                for chunk in self.container.logs(stream=True, follow=True):
                    os.write(descriptor, chunk)
        finally:
            os.close(descriptor)

    def _await_log(self) -> None:
        if self._follower is not None:
            self._follower.join(_LOG_PATIENCE_S)


def first_process(container: Container) -> trees.Root | None:
    """The container's first process as this host sees it; None where the engine is elsewhere."""
    pid = int(container.attrs["State"].get("Pid") or 0)
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
    except OSError:
        return None
    return trees.root(pid) if str(container.id) in groups else None


def started_ns(container: Container, now_ns: int, wall_ns: int, earliest_ns: int) -> int:
    """When its first process began, on our clock: the engine tells it by the wall clock of this host, Docker in UTC,
    Podman in its own time zone."""
    text = str(container.attrs["State"]["StartedAt"])
    second = datetime.fromisoformat(re.sub(r"\.\d+", "", text)).timestamp()
    fraction = re.search(r"\.(\d{1,9})", text)
    at_wall_ns = round(second) * NS_PER_S + int(fraction[1].ljust(9, "0") if fraction else 0)
    return min(now_ns, max(earliest_ns, now_ns - (wall_ns - at_wall_ns)))
