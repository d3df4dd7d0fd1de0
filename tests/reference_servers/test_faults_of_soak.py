"""What the faults of soak do, each beside a healthy server that does not."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from proofload_servers.serving import Answer, Failed, Service

Faulty = Callable[..., Service]
Until = Callable[[Callable[[], bool]], None]
MIB = 1 << 20


def ask(service: Service, count: int = 1) -> list[Answer]:
    futures = [
        service.submit({"values": [number, 0, 0, 0]}, deadline_ns=None, request_id="r") for number in range(count)
    ]
    return [future.result(20) for future in futures]


def warm(service: Service) -> Service:
    service.wait_ready(30)
    ask(service)
    return service


def growth(service: Service, count: int) -> int:
    """Bytes that Python holds more after so many requests."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        ask(service, count)
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def descriptors() -> list[str]:
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(entry.readlink()))
    return found


def test_leak_memory_keeps_its_bytes_for_each_request(faulty: Faulty) -> None:
    leaking = growth(warm(faulty("leak-memory:bytes=50000")), 100)
    assert 5_000_000 <= leaking < 6_000_000
    assert growth(warm(faulty()), 100) < 1_000_000


def test_leak_fd_keeps_a_file_open_for_one_in_so_many_requests(faulty: Faulty) -> None:
    service, healthy = warm(faulty("leak-fd:every=10")), warm(faulty())
    before = descriptors().count(os.devnull)
    ask(healthy, 100)
    assert descriptors().count(os.devnull) == before
    ask(service, 99)  # the hundredth with the one that warmed it
    assert descriptors().count(os.devnull) == before + 10


def test_leak_fd_fails_requests_once_no_file_can_be_opened(faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    service = warm(faulty("leak-fd:every=1"))

    def exhausted(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "open", exhausted)
    with pytest.raises(Failed):
        ask(service)


def test_leak_thread_leaves_a_thread_behind_for_one_in_so_many_requests(faulty: Faulty) -> None:
    service = warm(faulty("leak-thread:every=10"))
    before = set(threading.enumerate())
    ask(service, 50)
    assert sum(thread.name == "callback" for thread in set(threading.enumerate()) - before) == 5


def test_leak_socket_leaves_a_connection_that_its_peer_has_closed(faulty: Faulty, until: Until) -> None:
    def forgotten() -> set[object]:
        """By both ends, so that none of an earlier test's, closed meanwhile, is missed."""
        every = psutil.Process().net_connections("tcp")
        return {(one.laddr, one.raddr) for one in every if one.status == psutil.CONN_CLOSE_WAIT}

    before = forgotten()
    ask(warm(faulty("leak-socket:every=10")), 50)
    until(lambda: len(forgotten() - before) == 5)


def test_latency_creep_adds_to_the_computation_with_the_servers_age(faulty: Faulty) -> None:
    service = warm(faulty("latency-creep:ms_per_s=200"))
    (young,) = ask(service)
    threading.Event().wait(0.5)
    (old,) = ask(service)
    assert old.compute_ms >= young.compute_ms + 50
    assert old.compute_ms >= 100


def test_filling_cache_grows_until_it_is_full_and_no_further(faulty: Faulty) -> None:
    assert 4_900_000 <= growth(warm(faulty("filling-cache:entries=50,bytes=100000")), 60) < 6_000_000
    assert 4_900_000 <= growth(warm(faulty("filling-cache:entries=50,bytes=100000")), 200) < 6_000_000


@contextlib.contextmanager
def planted_alone(spec: str) -> Iterator[psutil.Process]:
    """A process that does nothing but have the fault."""
    code = f"import threading; from proofload_servers.faults import planted; planted([{spec!r}]); print(flush=True)"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code}; threading.Event().wait(60)"],
        stdout=subprocess.PIPE, env=os.environ | {"PROOFLOAD_ALLOW_FAULTS": "1"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.communicate()


def uss(process: psutil.Process) -> int:
    found: int = process.memory_full_info().uss
    return found


@pytest.mark.real
def test_leak_memory_per_second_needs_no_requests(until: Until) -> None:
    with planted_alone("leak-memory:per=second,bytes=40000000") as process:
        before = uss(process)
        until(lambda: uss(process) > before + 20 * MIB)


@pytest.mark.real
def test_sawtooth_memory_rises_and_falls_again_and_again(until: Until) -> None:
    with planted_alone("sawtooth-memory:mib=64,period_s=1") as process:
        low = uss(process)
        for _ in range(2):
            until(lambda: uss(process) > low + 40 * MIB)
            until(lambda: uss(process) < low + 20 * MIB)
