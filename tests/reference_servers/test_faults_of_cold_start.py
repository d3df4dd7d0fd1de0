"""What the faults of cold-start do, each beside a healthy server that does not."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from proofload_servers.serving import Answer, NotReady, Service

Faulty = Callable[..., Service]


def ask(service: Service) -> Answer:
    return service.submit({"values": [1, 2, 3, 4]}, deadline_ns=None, request_id="r").result(20)


@pytest.mark.parametrize("name", ["slow-load", "slow-but-honest"])
def test_a_slow_load_is_not_ready_before_it_is_over(faulty: Faulty, name: str) -> None:
    begun = time.monotonic()
    service = faulty(f"{name}:load_s=1")
    assert service.state == "starting"
    service.wait_ready(30)
    assert time.monotonic() - begun >= 1
    assert service.ready
    assert ask(service).prediction == 4321.0


def test_ready_before_load_says_ready_and_answers_nothing(faulty: Faulty) -> None:
    service = faulty("ready-before-load:load_s=1")
    assert service.ready
    with pytest.raises(NotReady):
        ask(service)
    service.wait_ready(30)
    assert service.ready
    assert ask(service).prediction == 4321.0
    service.begin_drain()
    assert not service.ready


def test_lazy_load_per_worker_loads_with_the_first_request(faulty: Faulty) -> None:
    service = faulty("lazy-load-per-worker:load_s=0.4,mib=1")
    service.wait_ready(30)
    assert service.ready
    first, second = ask(service), ask(service)
    assert first.prediction == second.prediction == 4321.0
    assert first.compute_ms >= 400
    assert second.compute_ms < first.compute_ms / 2


def test_no_warmup_makes_the_first_computations_slow_and_less_and_less_so(faulty: Faulty) -> None:
    service = faulty("no-warmup:first_ms=300,calls=3")
    service.wait_ready(30)
    times = [ask(service).compute_ms for _ in range(4)]
    assert times[0] >= 300
    assert times[1] >= 200
    assert times[2] >= 100
    assert times[3] < times[0] / 2
