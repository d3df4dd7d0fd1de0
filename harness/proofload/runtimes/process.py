"""A target as a local process tree: started, pinned, watched, stopped, with nothing left behind."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field

from proofload.clock import Clock, MonotonicClock
from proofload.errors import InputError, TargetError
from proofload.runtimes import Placement, Server
from proofload.runtimes._broker import broker_for
from proofload.runtimes._filling import known_values
from proofload.runtimes._launch import Launch
from proofload.runtimes._port_claims import refuse_foreign_listener, refuse_held_ports
from proofload.runtimes._readiness import Readiness, watched_address
from proofload.runtimes._started import Started
from proofload.target_model import Target
from proofload.watchdog import Watchdog

DRAIN_S = 10.0
_ATTEMPTS = 3


def create() -> ProcessRuntime:
    return ProcessRuntime()


@dataclass(frozen=True, slots=True)
class ProcessRuntime:
    """Starts `start.command`. `drain_s` lies between SIGTERM and SIGKILL when it is stopped."""

    clock: Clock = field(default_factory=MonotonicClock)
    drain_s: float = DRAIN_S

    def start(self, target: Target, placement: Placement) -> AbstractContextManager[Server]:
        return self._running(target, placement)

    @contextmanager
    def _running(self, target: Target, placement: Placement) -> Iterator[Server]:
        if target.start is None:
            raise InputError(
                f"target {target.name} does not say how it is started",
                remedy="add [start] with a `command` to its file, or use `--runtime external` and start it yourself",
            )
        with ExitStack() as stack:
            watchdog = placement.watchdog or stack.enter_context(Watchdog())
            broker = stack.enter_context(broker_for(target, placement, watchdog))
            values = {**known_values(target, placement), **broker.values}
            refuse_held_ports(target.filled(values))
            launch = Launch(target, placement, values, broker, watchdog, self.clock)
            server = self._up(launch, target.start.ready_timeout_s)
            stack.callback(self._stop, server, watchdog)
            yield server

    def _up(self, launch: Launch, ready_timeout_s: float) -> Started:
        """A server that is ready; with other ports when somebody took a chosen one before it could."""
        attempt = 1
        while True:
            server = launch.spawn(attempt)
            try:
                launch.watchdog.adopt(server.process)
                readiness = Readiness(server.target, self.clock, server.timeline)
                if not readiness.wait(ready_timeout_s, server.check_alive):
                    raise _never_ready(server, readiness.last, ready_timeout_s)
                refuse_foreign_listener(server)
            except TargetError:
                exit_code = server.process.poll()
                lost_its_port = exit_code is not None and server.diagnosis(exit_code).address_in_use
                self._stop(server, launch.watchdog)
                if not (lost_its_port and launch.target.ports() and attempt < _ATTEMPTS):
                    raise
                attempt += 1
            except BaseException:
                self._stop(server, launch.watchdog)
                raise
            else:
                server.confirm_limits()
                return server

    def _stop(self, server: Started, watchdog: Watchdog) -> None:
        try:
            server.stop(self.drain_s)
        finally:
            watchdog.release(server.process.pid)


def _never_ready(server: Started, last: str, timeout_s: float) -> TargetError:
    awaited = server.target.ready_url or f"its port ({watched_address(server.target)}) to listen"
    return TargetError(
        f"target {server.target.name} was not ready after {timeout_s:g} s",
        evidence=f"waited for {awaited}; {last}\n{server.log_end()}",
        cause="it takes longer, listens elsewhere, or health.ready is not where it says it is ready",
        remedy="raise start.ready_timeout_s, check url and health.ready, or run its command by hand: "
        + subprocess.list2cmdline(server.described["command"]),
    )
