"""A target as a container: created with limits, started, watched, stopped and removed, whatever happens."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import docker

from proofload.clock import Clock, MonotonicClock
from proofload.errors import InputError, TargetError
from proofload.runtimes import Placement, Server
from proofload.runtimes._broker import Broker, broker_for
from proofload.runtimes._contained import Contained, first_process, started_ns
from proofload.runtimes._container_engine import endpoint, engine, image_of, translated
from proofload.runtimes._container_launch import creation, inside_ports
from proofload.runtimes._container_reaper import outlived
from proofload.runtimes._filling import container_environment, known_values, refuse_unfilled
from proofload.runtimes._launch import log_name
from proofload.runtimes._log_file import LogFile
from proofload.runtimes._placing import cores_for
from proofload.runtimes._ports import free_ports, listening_inside, only_itself
from proofload.runtimes._readiness import Readiness
from proofload.target_model import Target
from proofload.watchdog import Watchdog

DRAIN_S = 10.0
_ATTEMPTS = 3


def create() -> ContainerRuntime:
    return ContainerRuntime()


@dataclass(frozen=True, slots=True)
class ContainerRuntime:
    """Starts `container.image`. `drain_s` lies between SIGTERM and SIGKILL when it is stopped."""

    clock: Clock = field(default_factory=MonotonicClock)
    drain_s: float = DRAIN_S

    def start(self, target: Target, placement: Placement) -> AbstractContextManager[Server]:
        return self._running(target, placement)

    @contextmanager
    def _running(self, target: Target, placement: Placement) -> Iterator[Server]:
        if target.container is None:
            raise InputError(
                f"target {target.name} does not say what container it runs in",
                remedy="add [container] with an `image` to its file, or use `--runtime process`",
            )
        with ExitStack() as stack:
            client = stack.enter_context(engine())
            image = image_of(client, target.container.image)
            watchdog = placement.watchdog or stack.enter_context(Watchdog())
            watchdog.adopt_engine(endpoint())
            warnings = stack.enter_context(outlived(client, watchdog.token))
            broker = stack.enter_context(broker_for(target, placement, watchdog))
            values = {**known_values(target, placement), **broker.values}
            berth = Berth(client, image, target, placement, values, broker, watchdog.token, self.clock, warnings)
            server = self._up(berth, target.container.ready_timeout_s)
            stack.callback(server.stop, self.drain_s)
            yield server

    def _up(self, berth: Berth, ready_timeout_s: float) -> Contained:
        """A server that is ready; with other ports when somebody took a chosen one before the engine could."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                server, bound = berth.launch(attempt)
            except TargetError as exc:
                if attempt < _ATTEMPTS and berth.target.ports() and _port_taken(exc):
                    continue
                raise
            try:
                readiness = Readiness(server.target, self.clock, server.timeline, bound)
                if not readiness.wait(ready_timeout_s, server.check_alive):
                    raise _never_ready(server, readiness.last, ready_timeout_s)
            except BaseException:
                server.stop(self.drain_s)
                raise
            return server
        raise AssertionError("unreachable: the last attempt returns or raises")


@dataclass(frozen=True, slots=True)
class Berth:
    """What every attempt at starting a container has in common. `values`: placeholders known without the ports."""

    client: docker.DockerClient
    image: Mapping[str, Any]
    target: Target
    placement: Placement
    values: Mapping[str, str]
    broker: Broker
    token: str
    clock: Clock
    warnings: Sequence[str] = ()

    def launch(self, attempt: int) -> tuple[Contained, Callable[[], bool] | None]:
        """The container, running, not yet ready; and how to see that its port listens, where that can be seen."""
        ports = free_ports(dict.fromkeys(self.target.ports()))
        named = {f"port:{name}" if name else "port": str(port) for name, port in ports.items()}
        filled = self.target.filled({**self.values, **named})
        refuse_unfilled(filled, "nothing in this run gives it one")
        cores = cores_for(filled.limits.cpus, self.placement.cpus, os.sched_getaffinity(0)).pinned
        asked = creation(
            filled,
            ports=ports,
            environment=container_environment(filled, self.placement),
            cores=cores,
            device=self.placement.device,
            token=self.token,
        )
        what = f"target {filled.name} cannot be started"
        with translated(what), ExitStack() as undo:
            log = LogFile(self.placement.log_dir / log_name(filled.name, self.placement.arm, attempt))
            undo.callback(log.close)
            timeline = {"spawn_ns": self.clock.now_ns()}
            container = self.client.containers.create(**asked)
            timeline["created_ns"] = self.clock.now_ns()
            undo.callback(container.remove, force=True, v=True)
            container.start()
            container.reload()
            timeline["started_ns"] = started_ns(container, self.clock.now_ns(), time.time_ns(), timeline["created_ns"])
            server = Contained(
                target=filled,
                container=container,
                log=log,
                cpus=cores or tuple(sorted(os.sched_getaffinity(0))),
                timeline=timeline,
                described=self._described(filled, asked, container.id, attempt),
                root=first_process(container),
                also_alive=self.broker.check_alive,
            )
            server.follow()
            undo.pop_all()
        return server, _bound(server, ports)

    def _described(self, filled: Target, asked: Mapping[str, Any], container_id: str, attempt: int) -> dict[str, Any]:
        assert filled.container is not None  # checked before anything was started
        limits = {"cpus": filled.limits.cpus, "memory_mib": filled.limits.memory_mib}
        engine_version = self.client.version()
        return {
            "image": filled.container.image,
            "image_id": self.image["Id"],
            "image_bytes": self.image.get("Size"),
            "container": container_id,
            "command": list(filled.container.command),
            "engine": {"version": engine_version.get("Version"), "api": engine_version.get("ApiVersion")},
            "network": filled.container.network,
            "hardened": filled.container.hardened,
            "attempt": attempt,
            "limits": {
                "pinned_cores": [int(core) for core in asked.get("cpuset_cpus", "").split(",") if core],
                **{name: value for name, value in limits.items() if value is not None},
                **({"memory_enforced": True} if filled.limits.memory_mib is not None else {}),
            },
            **({"broker": dict(self.broker.facts)} if self.broker.facts else {}),
            **({"warnings": list(self.warnings)} if self.warnings else {}),
        }


def _bound(server: Contained, ports: Mapping[str, int]) -> Callable[[], bool] | None:
    """Looks for the server's listening port in its own network; published ports listen from the start."""
    container, root = server.target.container, server.root
    if root is None or container is None or container.network == "host" or not ports:
        return None
    inside = inside_ports(container, ports)
    watched = inside.get("", next(iter(inside.values())))
    return lambda: bool(listening_inside(root.pid, watched))


def _never_ready(server: Contained, last: str, timeout_s: float) -> TargetError:
    target, root = server.target, server.root
    assert target.container is not None  # it was started
    cause = "it takes longer, listens elsewhere, or health.ready is not where it says it is ready"
    remedy = "raise container.ready_timeout_s, check url, health.ready and container.port"
    if root is not None and target.container.network == "bridge":
        inside = inside_ports(target.container, _published(target))
        heard = {port: listening_inside(root.pid, port) for port in inside.values()}
        if any(heard.values()) and all(only_itself(found) for found in heard.values() if found):
            cause = "inside the container it listens on 127.0.0.1 only, which no published port reaches"
            remedy = "let it listen on 0.0.0.0 inside: add that to [container] command"
    return TargetError(
        f"target {target.name} was not ready after {timeout_s:g} s",
        evidence=f"waited for {target.ready_url or 'its port to listen'}; {last}\n{server.log_end()}",
        cause=cause,
        remedy=remedy,
    )


def _published(target: Target) -> dict[str, int]:
    from proofload.runtimes._readiness import Address

    return {"": Address.of(target.url).port}


def _port_taken(exc: TargetError) -> bool:
    said = exc.evidence.lower()
    return "port is already allocated" in said or "address already in use" in said
