"""The process probe's numbers, against processes whose use is known."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from proofload._process_trees import Process
from proofload.probes import Subject
from proofload.probes import process as probe_module
from proofload.probes._duty import SHARE, Duty
from proofload.probes.process import ProcessProbe, used_ticks
from proofload.testing.eventually import eventually

MIB = 1024 * 1024


@contextlib.contextmanager
def python(code: str) -> Iterator[subprocess.Popen[bytes]]:
    """A child that runs `code`, once it has printed a line."""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdin is not None
    try:
        assert child.stdout.readline()
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        child.stdin.close()


def probe_of(*pids: int) -> ProcessProbe:
    probe = probe_module.create(Subject(0, pids=pids))
    assert probe is not None
    return probe


def values(probe: ProcessProbe) -> dict[str, float]:
    return {reading.name: reading.value for reading in probe.read()}


@pytest.mark.real
def test_private_memory_grows_by_what_is_allocated_and_shared_memory_is_not_counted_twice() -> None:
    code = """
import mmap, os, sys
shared = mmap.mmap(-1, 64 << 20)
shared.write(b"x" * (64 << 20))
if os.fork() == 0:
    shared[:] = b"y" * (64 << 20)
    print("up", flush=True)
    sys.stdin.readline()
    hoard = bytearray(b"z" * (96 << 20))
    print("grown", flush=True)
    sys.stdin.readline()
    os._exit(0)
os.wait()
"""
    with python(code) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        before = values(probe_of(child.pid))
        assert before["processes"] == 2
        assert before["uss_bytes"] < 48 * MIB
        assert before["rss_bytes"] > 128 * MIB, "the premise: resident memory counts the shared pages twice"
        child.stdin.write(b"\n")
        child.stdin.flush()
        child.stdout.readline()
        grown = values(probe_of(child.pid))["uss_bytes"] - before["uss_bytes"]
        assert 95 * MIB < grown < 105 * MIB


@pytest.mark.real
def test_descriptors_sockets_and_threads_are_counted() -> None:
    code = """
import socket, threading, sys
held = [open("/dev/null") for _ in range(7)] + [socket.socket() for _ in range(5)]
for _ in range(3):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print("up", flush=True)
sys.stdin.readline()
"""
    with python(code) as child:
        found = values(probe_of(child.pid))
        assert found["sockets"] == 5
        assert found["fds"] == 3 + 7 + 5
        assert found["threads"] == 1 + 3


@pytest.mark.real
def test_cpu_share_agrees_with_the_kernels_own_account_over_the_whole_tree() -> None:
    """Children that burn and end between readings included: compared with their own times, not with a clock."""
    code = """
import os, sys
print("up", flush=True)
sys.stdin.readline()
for _ in range(6):
    pid = os.fork()
    if pid == 0:
        while sum(os.times()[:2]) < 0.1:
            pass
        os._exit(0)
    os.waitpid(pid, 0)
print(sum(os.times()[:4]), flush=True)
sys.stdin.readline()
"""
    with python(code) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        probe = probe_of(child.pid)
        looks: list[tuple[int, float]] = []

        def look() -> None:
            reading = {one.name: one for one in probe.read()}
            looks.append((reading["rss_bytes"].t_ns, reading["cpu_share"].value if looks else 0.0))

        look()  # before it begins, so that nothing is used unseen
        child.stdin.write(b"\n")
        child.stdin.flush()
        os.set_blocking(child.stdout.fileno(), False)
        line = None
        while not line:
            time.sleep(0.03)
            line = child.stdout.readline()
            look()
        used_s = sum(share * (end - begin) / 1e9 for (begin, _), (end, share) in itertools.pairwise(looks))
        assert used_s == pytest.approx(float(line), abs=0.15)
        assert used_s > 0.4


def process(pid: int, cpu: int, reaped: int = 0, start: int = 1) -> tuple[tuple[int, int], Process]:
    return (pid, start), Process(pid, start, 1, 1, "S", cpu, reaped, 1, 1)


def test_what_a_child_used_moves_to_its_parent_and_is_counted_once() -> None:
    before = dict([process(1, 100), process(2, 50)])
    after = dict([process(1, 110, reaped=70)])
    assert used_ticks(before, after) == 30


def test_a_process_that_left_without_being_waited_for_makes_no_negative_use() -> None:
    before = dict([process(1, 100), process(2, 500)])
    assert used_ticks(before, dict([process(1, 107)])) == 7


def test_a_recycled_pid_is_another_process() -> None:
    before = dict([process(1, 100), process(2, 500)])
    assert used_ticks(before, dict([process(1, 100), process(2, 3, start=9)])) == 0


@pytest.mark.real
def test_new_children_are_found_and_ended_ones_forgotten() -> None:
    code = """
import subprocess, sys
print("up", flush=True)
sys.stdin.readline()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("more", flush=True)
sys.stdin.readline()
child.kill()
child.wait()
print("less", flush=True)
sys.stdin.readline()
"""
    with python(code) as child:
        assert child.stdin is not None
        probe = probe_of(child.pid)
        for expected in (1, 2, 1):
            assert eventually(lambda expected=expected: values(probe)["processes"] == expected)  # type: ignore[misc]
            child.stdin.write(b"\n")
            child.stdin.flush()


@pytest.mark.real
def test_a_process_that_ends_is_an_error_from_then_on() -> None:
    with python("print('up', flush=True); input()") as child:
        probe = probe_of(child.pid)
        values(probe)
        child.kill()
        child.wait()
        for _ in range(2):
            with pytest.raises(ProcessLookupError):
                probe.read()


@pytest.mark.real
def test_unreadable_private_memory_is_said_once_and_never_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(pid: int) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(probe_module, "uss_bytes", denied)
    probe = probe_of(os.getpid())
    first, second = values(probe), values(probe)
    assert first["uss_unavailable"] == 1
    assert "uss_unavailable" not in second
    assert "uss_bytes" not in first | second
    assert second["rss_bytes"] > 0


@pytest.mark.real
def test_a_sum_over_part_of_the_tree_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(pid: int) -> Mapping[str, Any]:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(probe_module, "files", gone)
    found = values(probe_of(os.getpid()))
    assert "fds" not in found
    assert "sockets" not in found


def test_a_costly_reading_takes_at_most_its_share_of_the_time() -> None:
    duty, now_ns, spent_ns, taken = Duty(), 0, 0, 0
    cost_ns = 20_000_000
    for _ in range(1000):
        now_ns += 500_000_000
        if duty.due(now_ns):
            duty.spent(now_ns, cost_ns)
            spent_ns += cost_ns
            taken += 1
    assert spent_ns / now_ns <= SHARE
    assert taken == 250
