"""One attempt at starting a target: ports of its own, environment, cores, memory limit, log, process."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proofload import _process_trees as trees
from proofload.clock import Clock
from proofload.errors import TargetError
from proofload.runtimes import Placement
from proofload.runtimes._broker import Broker
from proofload.runtimes._filling import environment, refuse_unfilled
from proofload.runtimes._log_file import LogFile
from proofload.runtimes._memory_limit import MemoryGroup, NotEnforced, memory_group
from proofload.runtimes._placing import Cores, cores_for
from proofload.runtimes._ports import free_ports
from proofload.runtimes._started import Started
from proofload.target_model import Target
from proofload.watchdog import Watchdog, marked

_JOIN = ["/bin/sh", "-c", '{ echo $$ > "$0"; } 2>/dev/null; exec "$@"']
"""Joins a control group, then becomes the command: from outside, its first children could slip past.
Whether it joined is looked up later, see `Started.confirm_limits`."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What every attempt has in common. `values`: placeholders that are known without the ports."""

    target: Target
    placement: Placement
    values: Mapping[str, str]
    broker: Broker
    watchdog: Watchdog
    clock: Clock

    def spawn(self, attempt: int) -> Started:
        """The process, adopted by the watchdog, not yet ready. Raises TargetError when it cannot be run at all."""
        filled = self._filled()
        token = secrets.token_hex(8)
        env = environment(filled, self.placement) | marked(self.watchdog.environment, token)
        cores = cores_for(filled.limits.cpus, self.placement.cpus, os.sched_getaffinity(0))
        limit = None if filled.limits.memory_mib is None else memory_group(filled.limits.memory_mib)
        group = limit if isinstance(limit, MemoryGroup) else None
        command = list(filled.start.command) if filled.start else []
        log = LogFile(self.placement.log_dir / log_name(filled.name, self.placement.arm, attempt))
        timeline = {"spawn_ns": self.clock.now_ns()}
        try:
            if group is not None:
                self.watchdog.adopt_folder(group.folder)
            whole = [*_JOIN, str(group.entrance), *command] if group else command
            process = _spawned(whole, filled, env, log.descriptor, cores.pinned)
        except BaseException:
            log.close()
            if group is not None:
                group.remove()
            raise
        described = {
            "command": command,
            "folder": str(filled.folder),
            "pid": process.pid,
            "attempt": attempt,
            "limits": _limits(filled, cores, limit),
            **({"broker": dict(self.broker.facts)} if self.broker.facts else {}),
        }
        return Started(
            target=filled,
            process=process,
            who=trees.root(process.pid) or trees.Root(process.pid, -1),
            token=token,
            log=log,
            cpus=cores.pinned or tuple(sorted(os.sched_getaffinity(0))),
            memory=group,
            timeline=timeline,
            described=described,
            also_alive=self.broker.check_alive,
        )

    def _filled(self) -> Target:
        ports = free_ports(dict.fromkeys(self.target.ports()))
        named = {f"port:{name}" if name else "port": str(port) for name, port in ports.items()}
        filled = self.target.filled({**self.values, **named})
        refuse_unfilled(filled, "nothing in this run gives it one")
        return filled


def _spawned(
    command: Sequence[str], target: Target, env: Mapping[str, str], output: int, cores: Sequence[int]
) -> subprocess.Popen[bytes]:
    """A child takes over the affinity of the thread that makes it: so this thread pins itself for that moment.

    (Between fork and exec, code of ours would not be safe in a process with threads.)
    """
    before = os.sched_getaffinity(0)
    try:
        if cores:
            os.sched_setaffinity(0, cores)
        return subprocess.Popen(
            command,
            cwd=target.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    except OSError as exc:
        raise TargetError(
            f"target {target.name} cannot be started: {exc.strerror}",
            evidence=f"command `{subprocess.list2cmdline(command)}` in {target.folder}, cores {list(cores) or 'any'}",
            cause=f"{exc.filename} does not exist or may not be executed" if exc.filename else "",
            remedy="correct [start] command in its file (names are looked up in PATH, paths from the file's folder)",
        ) from exc
    finally:
        os.sched_setaffinity(0, before)


def _limits(target: Target, cores: Cores, memory: MemoryGroup | NotEnforced | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"pinned_cores": list(cores.pinned)}
    if target.limits.cpus is not None:
        facts["cpus"] = target.limits.cpus
    if cores.shortfall:
        facts["cpus_note"] = cores.shortfall
    if target.limits.memory_mib is not None:
        facts["memory_mib"] = target.limits.memory_mib
        facts["memory_enforced"] = False  # until it was seen to be
    if isinstance(memory, NotEnforced):
        facts["memory_note"] = f"memory limit not enforced: {memory.reason}"
    return facts


def log_name(target: str, arm: int, attempt: int) -> str:
    again = f"-attempt{attempt}" if attempt > 1 else ""
    return f"{arm}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', target)}{again}.log"
