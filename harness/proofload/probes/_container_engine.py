"""A container as its engine tells it: whether it runs, and what it uses. Docker's API, which Podman serves as well.

The answers are parsed apart from the asking: see `state_of` and `usage_of`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from proofload.errors import InputError, TargetError
from proofload.probes._container_usage import Usage


@dataclass(frozen=True, slots=True)
class State:
    """What the engine knows of a container."""

    running: bool
    """Not while the engine is about to start it again."""
    pid: int
    """Of its first process, as the engine's host counts."""
    started_at: str
    restarts: int
    """How often the engine itself started it again."""
    out_of_memory: bool
    """Whether its memory limit ended it; known once it has ended."""
    exit_code: int
    limits: Mapping[str, Any]


class ContainerEngine:
    """One container. Connects when first asked. Raises TargetError when the engine does not answer, or does not know
    the container."""

    def __init__(self, container_id: str) -> None:
        self._id = container_id
        self._connection = ExitStack()
        self._api: Any = None

    def state(self) -> State:
        return state_of(self._ask(lambda api: api.inspect_container(self._id)))

    def usage(self, state: State) -> Usage:
        return usage_of(self._ask(self._stats), state.limits)

    def close(self) -> None:
        self._api = None
        self._connection.close()

    def _stats(self, api: Any) -> Mapping[str, Any]:
        from docker.errors import InvalidVersion

        with suppress(InvalidVersion):  # an engine older than 20.10 takes two looks, a second apart
            return dict(api.stats(self._id, stream=False, one_shot=True))
        return dict(api.stats(self._id, stream=False))

    def _ask(self, question: Callable[[Any], Any]) -> Any:
        from proofload.runtimes._container_engine import engine, translated

        try:
            if self._api is None:
                self._api = self._connection.enter_context(engine()).api
        except InputError as exc:  # here, nobody asked for one
            raise TargetError(exc.what, evidence=exc.evidence, cause=exc.cause, remedy=exc.remedy) from exc
        with translated(f"container {self._id[:12]}"):
            return question(self._api)


def state_of(inspected: Mapping[str, Any]) -> State:
    """From the answer to "inspect"."""
    state = inspected["State"]
    return State(
        running=bool(state.get("Running")) and not state.get("Restarting"),
        pid=int(state.get("Pid") or 0),
        started_at=str(state.get("StartedAt") or ""),
        restarts=int(inspected.get("RestartCount") or 0),
        out_of_memory=bool(state.get("OOMKilled")),
        exit_code=int(state.get("ExitCode") or 0),
        limits=inspected.get("HostConfig") or {},
    )


def usage_of(stats: Mapping[str, Any], limits: Mapping[str, Any]) -> Usage:
    """From the answer to "stats" and the limits that the container was made with. What the limit of memory is there
    is the machine's memory where there is none, so it is not looked at."""
    cpu, memory = stats.get("cpu_stats") or {}, stats.get("memory_stats") or {}
    throttling, detail = cpu.get("throttling_data") or {}, memory.get("stats") or {}
    used_ns = (cpu.get("cpu_usage") or {}).get("total_usage")
    limited = _cores(limits)
    networks = (stats.get("networks") or {}).values()
    stopped_ns = throttling.get("throttled_time") if limited else None
    anon, shared = detail.get("anon"), detail.get("shmem")
    return Usage(
        cpu_s=None if used_ns is None else used_ns / 1e9,
        periods=throttling.get("periods") if limited else None,
        throttled_periods=throttling.get("throttled_periods") if limited else None,
        throttled_s=None if stopped_ns is None else stopped_ns / 1e9,
        cpu_limit_cores=limited,
        used_bytes=memory.get("usage"),
        reclaimable_bytes=detail.get("total_inactive_file", detail.get("inactive_file")),
        anon_bytes=None if anon is None or shared is None else anon + shared,
        memory_limit_bytes=limits.get("Memory") or None,
        pids=(stats.get("pids_stats") or {}).get("current"),
        rx_bytes=sum(one["rx_bytes"] for one in networks) if networks else None,
        tx_bytes=sum(one["tx_bytes"] for one in networks) if networks else None,
    )


def _cores(limits: Mapping[str, Any]) -> float | None:
    nano, quota, period = (int(limits.get(name) or 0) for name in ("NanoCpus", "CpuQuota", "CpuPeriod"))
    if nano:
        return nano / 1e9
    return quota / (period or 100_000) if quota > 0 else None
