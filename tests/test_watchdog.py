"""The watchdog: however the lab ends, what it started ends too, and nothing else does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proofload import _process_trees as trees
from proofload.errors import MeasurementError
from proofload.testing.eventually import eventually
from proofload.watchdog import Watchdog

LAB = """
import json, os, subprocess, sys, time
from proofload.watchdog import Watchdog
with Watchdog(grace_s=0.3) as watchdog:
    child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], env={**os.environ, **watchdog.environment},
                             start_new_session=True, stdout=subprocess.PIPE)
    watchdog.adopt(child)
    for line in child.stdout:
        if line.strip() == b"up":
            break
    print(json.dumps({"token": watchdog.token, "child": child.pid, "watchdog": watchdog.pid}), flush=True)
    exec(sys.argv[2])
"""

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"

STUBBORN_FAMILY = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
wait = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"]
subprocess.Popen(wait, env={})                                      # environment wiped, same session
subprocess.Popen(wait, start_new_session=True)                      # another session, still our child
if os.fork() == 0:                                                  # a daemon: another session, no parent
    os.setsid()
    if os.fork() == 0:
        os.execv(wait[0], wait)
    os._exit(0)
os.wait()
print("up", flush=True)
time.sleep(600)
"""


@contextlib.contextmanager
def lab(child: str, then: str = "time.sleep(600)") -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    """A process that uses a watchdog as the lab does; ended with all it started, whatever the test found."""
    process = subprocess.Popen([sys.executable, "-c", LAB, child, then], stdout=subprocess.PIPE)
    token = ""
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        told = json.loads(line)
        token = told["token"]
        yield process, told
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        if token:
            trees.end(lambda: trees.belonging([], token), 0)


def family(told: dict[str, Any]) -> set[int]:
    return set(trees.belonging([trees.Root(told["child"], start_of(told["child"]))], told["token"]))


def start_of(pid: int) -> int:
    found = trees.root(pid)
    return found.start_ticks if found else -1


def gone(who: trees.Root) -> bool:
    return not trees.alive(who)


def identity(pid: int) -> trees.Root:
    who = trees.root(pid)
    assert who is not None
    return who


@pytest.mark.real
def test_a_killed_lab_leaves_no_daemon_no_orphan_and_no_watchdog() -> None:
    with lab(STUBBORN_FAMILY) as (process, told):
        assert eventually(lambda: len(family(told)) == 4)
        members = [identity(pid) for pid in [*family(told), told["watchdog"]]]
        process.kill()
        assert all(eventually(lambda who=who: gone(who)) for who in members)  # type: ignore[misc]


@pytest.mark.real
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGABRT])
def test_any_signal_that_ends_the_lab_ends_its_servers(signum: signal.Signals) -> None:
    with lab(SLEEPER) as (process, told):
        members = [identity(told["child"]), identity(told["watchdog"])]
        process.send_signal(signum)
        assert all(eventually(lambda who=who: gone(who)) for who in members)  # type: ignore[misc]


@pytest.mark.real
def test_a_fork_that_holds_the_pipe_open_does_not_hide_the_labs_death() -> None:
    hold = "pid = os.fork()\nif pid == 0:\n    time.sleep(600)\nprint(pid, flush=True)\ntime.sleep(600)"
    with lab(SLEEPER, hold) as (process, told):
        assert process.stdout is not None
        holder = identity(int(process.stdout.readline()))
        child = identity(told["child"])
        try:
            process.kill()
            assert eventually(lambda: gone(child))
            assert trees.alive(holder), "the premise: it outlived the lab and held the pipe"
        finally:
            trees.send(holder, signal.SIGKILL)


@pytest.mark.real
def test_the_watchdog_outlives_signals_meant_for_the_lab() -> None:
    with Watchdog() as watchdog:
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(watchdog.pid, 0)
            assert eventually(lambda: ignores(watchdog.pid, signal.SIGHUP))
            os.kill(watchdog.pid, signum)
        assert os.getsid(watchdog.pid) == watchdog.pid
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        watchdog.adopt(child)
    assert child.wait() == -signal.SIGTERM
    assert watchdog.left_behind


def ignores(pid: int, signum: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    mask = next(line for line in status.splitlines() if line.startswith("SigIgn"))
    return bool(int(mask.split()[1], 16) >> (signum - 1) & 1)


@pytest.mark.real
def test_a_normal_ending_is_quick_and_leaves_no_watchdog() -> None:
    with Watchdog() as watchdog:
        child = subprocess.Popen(["true"], env={**os.environ, **watchdog.environment})
        watchdog.adopt(child)
        child.wait()
        watchdog.release(child.pid)
        pid = watchdog.pid
    assert not watchdog.left_behind
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.real
def test_a_released_process_is_left_alone() -> None:
    with Watchdog() as watchdog:
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        watchdog.adopt(child)
        watchdog.release(child.pid)
    try:
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()


@pytest.mark.real
def test_a_recycled_pid_is_never_touched() -> None:
    bystander = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        earlier = trees.Root(bystander.pid, start_of(bystander.pid) - 1)
        assert not trees.alive(earlier)
        assert not trees.send(earlier, signal.SIGKILL)
        assert trees.belonging([earlier], "") == {}
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.real
def test_nested_labs_each_find_their_own() -> None:
    inner = textwrap.dedent("""
        import os, subprocess, sys
        from proofload.watchdog import Watchdog
        with Watchdog() as watchdog:
            child = subprocess.Popen(["sleep", "600"], env={**os.environ, **watchdog.environment})
            print(child.pid, watchdog.token, flush=True)
            sys.stdin.read()
    """)
    with Watchdog() as outer:
        process = subprocess.Popen(
            [sys.executable, "-c", inner],
            env={**os.environ, **outer.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdin is not None
        pid, token = process.stdout.readline().decode().split()
        assert eventually(lambda: trees.carries(int(pid), token))
        assert trees.carries(int(pid), outer.token)
        assert not trees.carries(int(pid), "0123456789abcdef")
        process.communicate()
        assert not Path(f"/proc/{pid}").exists()
    assert process.returncode == 0


@pytest.mark.real
def test_a_lost_watchdog_refuses_new_processes() -> None:
    child = subprocess.Popen(["sleep", "600"])
    try:
        with Watchdog() as watchdog:
            who = identity(watchdog.pid)
            trees.send(who, signal.SIGKILL)
            assert eventually(lambda: gone(who))
            with pytest.raises(MeasurementError, match="watchdog"):
                watchdog.adopt(child)
    finally:
        child.kill()
        child.wait()


def test_a_process_name_with_spaces_and_parentheses_is_read_right(tmp_path: Path) -> None:
    program = tmp_path / "a ) R 1 (b"
    program.symlink_to("/bin/sleep")
    child = subprocess.Popen([str(program), "600"])
    try:
        process = trees.read(child.pid)
        assert process is not None
        assert process.ppid == os.getpid()
    finally:
        child.kill()
        child.wait()
