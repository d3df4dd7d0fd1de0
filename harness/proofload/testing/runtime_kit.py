"""What every runtime must do. For the authors of one: run each claim against yours.

    @pytest.mark.parametrize("claim", CLAIMS, ids=claim_name)
    def test_it_conforms(claim, tmp_path):
        claim(RuntimeCase(my_runtime.create(), starts_targets=True, folder=tmp_path))

A claim raises AssertionError when it does not hold. A runtime that needs its own kind of target (an
image, say) gives `example`; the others get a small HTTP server (stub_server.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from proofload import _process_trees as trees
from proofload.clock import MonotonicClock
from proofload.errors import ProofloadError, TargetError
from proofload.runtimes import Placement, Runtime, Server
from proofload.runtimes._ports import free_ports
from proofload.target_model import Target
from proofload.testing.eventually import PATIENCE_S, eventually
from proofload.watchdog import Watchdog

STUB = Path(__file__).with_name("stub_server.py")


@dataclass(frozen=True, slots=True)
class RuntimeCase:
    """A runtime and what it is tried on."""

    runtime: Runtime
    starts_targets: bool
    """Its module's STARTS_TARGETS (True when it has none)."""
    folder: Path
    example: Callable[[Path], AbstractContextManager[Target]] | None = None
    """A target this runtime can bring up, that answers POST {"value": 2} at its url with {"prediction": 4}."""

    @contextmanager
    def target(self) -> Iterator[Target]:
        """One to start, or, for a runtime that starts none, one that is up for as long as the block lasts."""
        if self.example is not None:
            with self.example(self.folder) as target:
                yield target
        elif self.starts_targets:
            yield _stub("http://127.0.0.1:{port}/predict", [sys.executable, str(STUB), "{port}"])
        else:
            with running_stub() as (port, pid):
                yield _stub(f"http://127.0.0.1:{port}/predict", None, pid)

    def placement(self, watchdog: Watchdog | None = None) -> Placement:
        return Placement(log_dir=self.folder / "logs", watchdog=watchdog)


@contextmanager
def running_stub() -> Iterator[tuple[int, int]]:
    """The stub server, started here: its port and pid."""
    port = free_ports(["stub"])["stub"]
    process = subprocess.Popen([sys.executable, str(STUB), str(port)], stderr=subprocess.DEVNULL)
    try:
        assert eventually(lambda: _accepts(port)), "the stub server did not come up"
        yield port, process.pid
    finally:
        process.kill()
        process.wait()


def it_gives_a_target_that_answers(case: RuntimeCase) -> None:
    with case.target() as target, case.runtime.start(target, case.placement()) as server:
        assert not server.target.placeholders(), "placeholders are left"
        server.check_alive()
        answer = httpx.post(server.target.url, json={"value": 2}, trust_env=False)
        assert answer.json()["prediction"] == 4, "somebody else answers"


def its_timeline_is_in_order(case: RuntimeCase) -> None:
    before = MonotonicClock().now_ns()
    with case.target() as target, case.runtime.start(target, case.placement()) as server:
        instants = [server.timeline[key] for key in ("spawn_ns", "port_bound_ns", "ready_ns") if key in server.timeline]
        assert instants == sorted(instants)
        assert all(before <= instant <= MonotonicClock().now_ns() for instant in instants)
        assert not case.starts_targets or {"spawn_ns", "ready_ns"} <= set(server.timeline)


def its_facts_can_be_stored(case: RuntimeCase) -> None:
    with case.target() as target:
        with case.runtime.start(target, case.placement()) as server:
            assert json.loads(json.dumps(server.facts()))["runtime"]
        assert json.loads(json.dumps(server.facts()))["runtime"], "also after the end"


def its_pids_exist(case: RuntimeCase) -> None:
    with case.target() as target, case.runtime.start(target, case.placement()) as server:
        assert all(trees.root(pid) is not None for pid in server.pids)


def nothing_it_started_outlives_the_block(case: RuntimeCase) -> None:
    with Watchdog() as watchdog, case.target() as target:
        with case.runtime.start(target, case.placement(watchdog)) as server:
            started = _identities(server)
        if case.starts_targets:
            assert not any(trees.alive(who) for who in started)
            assert not trees.belonging([], watchdog.token), "a process with the lab's marker is left"
        else:
            assert all(trees.alive(who) for who in started), "it was not its to stop"
    assert not watchdog.left_behind, "the watchdog had to end what was left: a process, or a container"


def it_stops_after_an_error_too(case: RuntimeCase) -> None:
    started: list[trees.Root] = []
    with case.target() as target:
        with contextlib.suppress(ZeroDivisionError), case.runtime.start(target, case.placement()) as server:
            started = _identities(server)
            raise ZeroDivisionError
        assert not case.starts_targets or not any(trees.alive(who) for who in started)


def a_dead_target_is_noticed(case: RuntimeCase) -> None:
    with case.target() as target, case.runtime.start(target, case.placement()) as server:
        if not server.pids:
            return  # it knows of no process, and claims nothing
        for pid in server.pids:
            os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: _raises_target_error(server)), "check_alive never raised TargetError"


def a_target_that_never_comes_up_is_a_clear_error(case: RuntimeCase) -> None:
    if case.example is not None:
        return  # what fails to come up is of its kind, and tested by its author
    with Watchdog() as watchdog:
        command = [sys.executable, "-c", "raise SystemExit('no model here')"] if case.starts_targets else None
        url = "http://127.0.0.1:{port}/predict" if case.starts_targets else "http://127.0.0.1:9/predict"
        error: TargetError | None = None
        try:
            with case.runtime.start(_stub(url, command), case.placement(watchdog)):
                pass
        except TargetError as exc:
            error = exc
        assert error is not None, "it claims to be up"
        assert error.evidence, "the error shows no evidence"
        assert error.remedy, "the error gives no remedy"
        assert not trees.belonging([], watchdog.token)


CLAIMS: tuple[Callable[[RuntimeCase], None], ...] = (
    it_gives_a_target_that_answers,
    its_timeline_is_in_order,
    its_facts_can_be_stored,
    its_pids_exist,
    nothing_it_started_outlives_the_block,
    it_stops_after_an_error_too,
    a_dead_target_is_noticed,
    a_target_that_never_comes_up_is_a_clear_error,
)


def claim_name(claim: Callable[[RuntimeCase], None]) -> str:
    return claim.__name__


def _stub(url: str, command: list[str] | None, pid: int | None = None) -> Target:
    table: dict[str, object] = {"name": "stub", "transport": "http", "url": url, "health": {"ready": "/ready"}}
    if command is not None:
        table["start"] = {"command": command, "ready_timeout_s": PATIENCE_S}
    if pid is not None:
        table["probe"] = {"pid": pid}
    return Target.model_validate(table)


def _identities(server: Server) -> list[trees.Root]:
    return [who for who in map(trees.root, server.pids) if who is not None]


def _raises_target_error(server: Server) -> bool:
    try:
        server.check_alive()
    except TargetError:
        return True
    except ProofloadError as exc:
        raise AssertionError("a dead target is a TargetError") from exc
    return False


def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
