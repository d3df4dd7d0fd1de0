"""The client as the bottleneck: the run must call itself invalid and say why, whatever the numbers look like."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from tests.truth.conftest import Load, Run, Started, Witness

pytestmark = [pytest.mark.real, pytest.mark.quiet]


def until_load_runs(run: Started) -> psutil.Process:
    """The engine process, once the first phase has begun."""
    events = run.out / "events.jsonl"
    waiting = threading.Event()
    while not (events.exists() and '"phase"' in events.read_text(encoding="utf-8")):
        assert run.process.poll() is None, run.process.communicate()
        waiting.wait(0.02)
    [engine] = [
        child
        for child in psutil.Process(run.process.pid).children(recursive=True)
        if "proofload.engine" in child.cmdline()
    ]
    return engine


def assert_it_blames_itself(run: Run, *codes: str) -> None:
    assert (run.code, run.result["status"]) == (3, "invalid"), run.result["validity"]
    assert run.spoiled >= set(codes), run.result["validity"]
    for item in run.result["validity"]:
        assert item["ok"] or (item["detail"] and item["remedy"])


@contextmanager
def busy(core: int, processes: int) -> Iterator[None]:
    """So many processes that want all of one core."""
    code = f"import os\nos.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
    hogs = [subprocess.Popen([sys.executable, "-S", "-c", code]) for _ in range(processes)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


@contextmanager
def stalled(engine: psutil.Process, *, for_s: float, every_s: float) -> Iterator[None]:
    """Stops the process again and again, as a debugger or a swapping host would."""
    over = threading.Event()

    def stall() -> None:
        while not over.wait(every_s - for_s):
            try:
                os.kill(engine.pid, signal.SIGSTOP)
                over.wait(for_s)
                os.kill(engine.pid, signal.SIGCONT)
            except ProcessLookupError:
                return

    stalling = threading.Thread(target=stall)
    stalling.start()
    try:
        yield
    finally:
        over.set()
        stalling.join()


def test_a_client_starved_of_cpu_calls_its_run_invalid(witness: Callable[..., Witness], load: Load) -> None:
    server = witness()
    begun = load(server.url, duration_s=8)
    until_load_runs(begun)
    with busy(min(os.sched_getaffinity(0)), 4):
        run = begun.ended()
    assert_it_blames_itself(run, "cpu-starved")


def test_a_client_whose_loop_is_stalled_again_and_again_calls_its_run_invalid(
    witness: Callable[..., Witness], load: Load
) -> None:
    server = witness()
    begun = load(server.url, duration_s=8)
    with stalled(until_load_runs(begun), for_s=0.2, every_s=1.0):
        run = begun.ended()
    assert_it_blames_itself(run, "loop-stall", "send-lag")


def test_an_undisturbed_client_finds_nothing_to_blame_itself_for(witness: Callable[..., Witness], load: Load) -> None:
    """The same load as above without the disturbance: the codes do not cry wolf."""
    server = witness()
    run = load(server.url, duration_s=6).ended()
    assert not run.spoiled, run.result["validity"]
    assert run.result["status"] != "invalid"
