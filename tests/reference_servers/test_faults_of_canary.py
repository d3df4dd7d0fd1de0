"""What the faults of canary-rollback do, each beside a healthy server that does not."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from proofload_servers.faults import chances
from proofload_servers.faults.wrong_predictions import another
from proofload_servers.serving import Answer, Failed, Service

Faulty = Callable[..., Service]
Until = Callable[[Callable[[], bool]], None]
Start = Callable[[str, Sequence[str], int], AbstractContextManager[Any]]


def ready(service: Service) -> Service:
    service.wait_ready(30)
    return service


def ask(service: Service, *values: float) -> Answer:
    return service.submit({"values": values or [1, 2, 3, 4]}, deadline_ns=None, request_id="r").result(20)


def failures(service: Service, count: int) -> list[bool]:
    failed = [True] * count
    for number in range(count):
        with contextlib.suppress(Failed):
            ask(service)
            failed[number] = False
    return failed


def test_errors_fails_its_share_of_the_requests_in_an_order_of_its_seed(faulty: Faulty) -> None:
    first = failures(ready(faulty("errors:share=0.3")), 200)
    assert 30 <= sum(first) <= 90
    assert failures(ready(faulty("errors:share=0.3")), 200) == first
    assert failures(ready(faulty("errors:share=0.3,seed=2")), 200) != first
    assert not any(failures(ready(faulty()), 50))


def test_slow_tail_holds_back_its_share_and_leaves_the_others_alone(faulty: Faulty, until: Until) -> None:
    service = ready(faulty("slow-tail:share=0.2,ms=2000"))
    draw = chances(1, "slow-tail").random
    slow = sum(draw() < 0.2 for _ in range(50))
    assert slow
    bodies = [{"values": [number, 0, 0, 0]} for number in range(50)]
    futures = [service.submit(body, deadline_ns=None, request_id="r") for body in bodies]
    until(lambda: sum(future.done() for future in futures) >= 50 - slow)
    assert sum(future.done() for future in futures) == 50 - slow
    assert [future.result(20).prediction for future in futures] == [float(number) for number in range(50)]


def test_wrong_predictions_differ_in_their_share_of_the_answers(faulty: Faulty) -> None:
    service = ready(faulty("wrong-predictions:share=0.3"))
    wrong = [ask(service).prediction for _ in range(200)]
    assert 30 <= sum(one != 4321.0 for one in wrong) <= 90
    healthy = ready(faulty())
    assert {ask(healthy).prediction for _ in range(20)} == {4321.0}


@pytest.mark.parametrize("prediction", [0.0, 0.2, 0.5, 1.0, -3.0, 250.0])
def test_a_wrong_prediction_is_off_by_far_and_a_probability_stays_one(prediction: float) -> None:
    told = another(prediction)
    assert abs(told - prediction) > 0.1
    assert not 0.0 <= prediction <= 1.0 or 0.0 <= told <= 1.0
    assert another({"class": 3, "score": 0.5}) == {"class": 4, "score": 0.5}


def test_wrong_version_label_tells_another_version_everywhere(faulty: Faulty) -> None:
    service = ready(faulty("wrong-version-label:label=6"))
    assert ask(service).model_version == service.info()["version"] == "6"
    assert ask(service).prediction == 4321.0
    assert ask(ready(faulty())).model_version == "7"


def test_stalls_hold_up_a_computation_now_and_then(faulty: Faulty, until: Until) -> None:
    service = ready(faulty("stalls:ms=150,every_s=0.2"))
    times: list[float] = []

    def stalled() -> int:
        times.append(ask(service).compute_ms)
        return sum(one >= 150 for one in times)

    until(lambda: stalled() >= 3)
    assert stalled() < len(times)


def test_faster_answers_repeats_from_memory_and_nothing_else(faulty: Faulty) -> None:
    service = ready(faulty("faster"))
    first, again, other = ask(service, 1, 2, 3, 4), ask(service, 1, 2, 3, 4), ask(service, 4, 3, 2, 1)
    assert first.compute_ms > 0.0
    assert again.compute_ms == again.queue_ms == 0.0
    assert first.prediction == again.prediction == 4321.0
    assert other.prediction == 1234.0
    assert other.compute_ms > 0.0


@pytest.mark.real
@pytest.mark.parametrize("program", ["fastapi_app", "flask_app"])
def test_drop_inflight_on_sigterm_ends_without_an_answer(
    program: str, tiny_model: Path, free_port: int, start_program: Start, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A healthy server answers what is in flight: test_http_servers."""
    monkeypatch.setenv("PROOFLOAD_ALLOW_FAULTS", "1")
    flags = ["--model", str(tiny_model), "--host", "127.0.0.1", "--port", str(free_port)]
    flags += ["--no-adaptive", "--max-batch", "8", "--max-delay-ms", "5000", "--fault", "drop-inflight-on-sigterm"]
    with start_program(program, flags, free_port) as (process, client), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(
            httpx.post, f"http://127.0.0.1:{free_port}/v1/predict", json={"values": [1, 2, 3, 4]}, timeout=60.0
        )
        until(lambda: b"proofload_queue_depth 1.0" in client.get("/metrics").content)
        process.send_signal(signal.SIGTERM)
        with pytest.raises(httpx.TransportError):
            answer.result(60)
        assert process.wait(60) == 0
