"""What the faults of peak-10x do, each beside a healthy server that does not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from proofload_servers.serving import Answer, Expired, NotReady, Overloaded, Result, Service, deadline_from_ms

Faulty = Callable[..., Service]
SLOW_BATCHES: dict[str, Any] = {"adaptive": False, "max_batch": 64, "max_delay_ms": 300.0}
"""A batch that nobody fills holds what is submitted for a while."""
SLOWER: dict[str, Any] = SLOW_BATCHES | {"max_delay_ms": 1000.0}
"""For longer than it takes to submit some more, whatever else this machine does."""


def ready(service: Service) -> Service:
    service.wait_ready(30)
    return service


def submit(service: Service, number: int = 1, timeout_ms: float | None = None) -> Any:
    body = {"values": [number, 0, 0, 0]}
    return service.submit(body, deadline_ns=deadline_from_ms(timeout_ms), request_id="r")


def kernel_threads() -> int:
    """Those of ONNX Runtime too, which Python does not know."""
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def test_unbounded_queue_takes_whatever_comes(faulty: Faulty) -> None:
    limits = SLOWER | {"max_queue": 2}
    healthy = ready(faulty(**limits))
    for _ in range(2):
        submit(healthy)
    with pytest.raises(Overloaded):
        submit(healthy)
    unbounded = ready(faulty("unbounded-queue", **limits))
    futures = [submit(unbounded, number) for number in range(500)]
    assert [future.result(20).prediction for future in futures] == [float(number) for number in range(500)]


def test_unbounded_queue_still_drops_what_expired(faulty: Faulty) -> None:
    with pytest.raises(Expired):
        submit(ready(faulty("unbounded-queue", **SLOW_BATCHES)), timeout_ms=30).result(20)


def test_zombie_work_computes_what_expired(faulty: Faulty) -> None:
    with pytest.raises(Expired):
        submit(ready(faulty(**SLOW_BATCHES)), timeout_ms=30).result(20)
    undead = ready(faulty("zombie-work", **SLOW_BATCHES))
    answer = submit(undead, timeout_ms=30).result(20)
    assert isinstance(answer, Answer)
    assert answer.queue_ms > 30


def test_zombie_work_refuses_only_what_would_wait_very_long(faulty: Faulty) -> None:
    undead = ready(faulty("zombie-work:wait_s=0.000000001", **SLOWER))
    submit(undead)
    with pytest.raises(Overloaded):
        submit(undead)


@pytest.mark.parametrize("broken", [False, True])
def test_block_event_loop_computes_on_the_callers_thread(faulty: Faulty, broken: bool) -> None:
    service = ready(faulty(*["block-event-loop:ms=50"] * broken))
    answered_on: list[threading.Thread] = []
    over = threading.Event()

    def done(result: Result) -> None:
        assert isinstance(result, Answer)
        answered_on.append(threading.current_thread())
        over.set()

    begun = time.monotonic()
    service.submit_to({"values": [1, 2, 3, 4]}, done, deadline_ns=None, request_id="r")
    held_s = time.monotonic() - begun
    assert over.wait(20)
    assert (answered_on == [threading.current_thread()]) is broken
    assert not broken or held_s >= 0.05


def test_full_queue_blocks_holds_its_caller_until_there_is_room(faulty: Faulty) -> None:
    service = ready(faulty("full-queue-blocks:places=2", **SLOWER))
    first = [submit(service, number) for number in range(2)]
    assert service.queue_depth == 2
    third = submit(service, 2)  # refused by a healthy server
    assert service.queue_depth <= 1
    assert [future.result(20).prediction for future in first] == [0.0, 1.0]
    assert third.result(20).prediction == 2.0


def test_full_queue_blocks_lets_its_callers_go_when_it_is_closed(faulty: Faulty) -> None:
    service = ready(faulty("full-queue-blocks:places=1", **SLOW_BATCHES | {"max_delay_ms": 60_000.0}))
    submit(service)
    with ThreadPoolExecutor(1) as pool:
        caller = pool.submit(submit, service)
        service.drain(0.1)
        with pytest.raises(NotReady):
            caller.result(20)


def test_oversubscribed_threads_starts_the_threads_it_says(faulty: Faulty) -> None:
    ready(faulty())
    before = kernel_threads()
    crowded = ready(faulty("oversubscribed-threads:threads=16"))
    assert kernel_threads() >= before + 15
    assert crowded.info()["threads"] == 16
    assert crowded.settings.spinning


def test_static_batching_makes_a_lone_request_wait_and_a_full_batch_not(faulty: Faulty) -> None:
    service = ready(faulty("static-batching:batch=4,delay_ms=1000"))
    full = [submit(service, number).result for number in range(4)]
    assert all(result(20).queue_ms < 1000 for result in full)
    assert submit(service).result(20).queue_ms >= 1000
