"""The core as a front end sees it, over a real session of a tiny model."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from proofload_servers.serving import Expired, InvalidInput, NotReady, Service, Settings, StartupError, health
from proofload_servers.serving.refusals import Refusal
from proofload_servers.serving.side_port import SidePort

WAIT_S = 20.0


def ask(service: Service, body: dict[str, Any], **options: Any) -> Any:
    return service.submit(body, **({"deadline_ns": None, "request_id": "r-1"} | options)).result(WAIT_S)


def test_an_answer_carries_prediction_id_model_and_times(service: Service) -> None:
    answer = ask(service, {"id": "q", "values": [1, 2, 3, 4.0]})
    assert (answer.id, answer.prediction) == ("q", 4321.0)
    assert (answer.model_name, answer.model_version) == ("tiny", "7")
    assert answer.queue_ms >= 0.0
    assert answer.compute_ms > 0.0
    assert answer.features is None


def test_the_version_is_the_models_own_whatever_the_request_says(service: Service) -> None:
    answer = ask(service, {"values": [0, 0, 0, 0], "version": "99", "model": {"version": "99"}})
    assert answer.model_version == "7"


def test_an_answer_without_an_id_of_its_own_takes_the_request_id(service: Service) -> None:
    assert ask(service, {"values": [0, 0, 0, 0]}).id == "r-1"


def test_explain_adds_the_features_the_model_saw(service: Service) -> None:
    answer = ask(service, {"values": [1, 2, 3, 4], "explain": True})
    assert answer.features == {"x0": 1, "x1": 2, "x2": 3, "x3": 4}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"values": [1, 2, 3]},
        {"values": [1, 2, 3, 4, 5]},
        {"values": "1234"},
        {"values": {"0": 1, "1": 1, "2": 1, "3": 1}},
        {"values": [1, 2, 3, "4"]},
        {"values": [1, 2, 3, None]},
        {"values": [1, 2, 3, True]},
        {"values": [1, 2, 3, float("nan")]},
        {"values": [1, 2, 3, float("inf")]},
        {"values": [1, 2, 3, 1e39]},
        {"values": [1, 2, 3, 10**400]},
        {"values": [1, 2, 3, 4], "transaction": {}},
        {"image": "AAAA"},
        {"values": [1, 2, 3, 4], "id": 5},
        {"values": [1, 2, 3, 4], "id": "x" * 129},
    ],
)
def test_what_the_model_cannot_take_is_refused_at_once(service: Service, body: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refusal:
        service.submit(body, deadline_ns=None, request_id="r")
    assert refusal.value.status == 400


def test_a_refusal_does_not_echo_what_was_sent(service: Service) -> None:
    with pytest.raises(InvalidInput) as refusal:
        service.submit({"values": [1, 2, 3, "4111-1111"]}, deadline_ns=None, request_id="r")
    assert "4111" not in refusal.value.message


def test_a_deadline_that_has_passed_is_refused_before_it_queues(service: Service) -> None:
    with pytest.raises(Expired):
        service.submit({"values": [1, 2, 3, 4]}, deadline_ns=time.monotonic_ns() - 1, request_id="r")
    assert b"proofload_expired_total 1.0" in service.metrics.render()


def test_a_batch_call_answers_in_order(service: Service) -> None:
    bodies = [{"values": [index, 0, 0, 0]} for index in range(8)]
    futures = service.submit_many(bodies, deadline_ns=None, request_id="r")
    answers = [future.result(WAIT_S) for future in futures]
    assert [answer.prediction for answer in answers] == list(range(8))
    assert [answer.id for answer in answers] == [f"r-{index}" for index in range(8)]


def test_a_batch_call_names_the_instance_that_is_wrong_and_computes_none(service: Service) -> None:
    bodies: list[dict[str, Any]] = [{"values": [1, 2, 3, 4]}, {"values": [1]}]
    with pytest.raises(InvalidInput, match=r"instances\[1\]"):
        service.submit_many(bodies, deadline_ns=None, request_id="r")
    assert b"proofload_batch_size_count 0.0" in service.metrics.render()


def test_a_batch_call_with_too_many_instances_is_refused(service: Service) -> None:
    with pytest.raises(InvalidInput) as refusal:
        service.submit_many([{"values": [0, 0, 0, 0]}] * 9, deadline_ns=None, request_id="r")
    assert (refusal.value.status, refusal.value.code) == (413, "too_many_instances")


def test_draining_is_not_ready_but_still_serves_and_stopped_does_not(service: Service) -> None:
    assert service.ready
    service.begin_drain()
    assert (service.ready, service.live, service.started) == (False, True, True)
    assert ask(service, {"values": [1, 0, 0, 0]}).prediction == 1.0
    assert service.drain(WAIT_S) is True
    assert service.live is False
    with pytest.raises(NotReady):
        service.submit({"values": [1, 0, 0, 0]}, deadline_ns=None, request_id="r")


def test_metrics_count_queue_and_compute_once_per_request(service: Service) -> None:
    for _ in range(3):
        ask(service, {"values": [1, 2, 3, 4]})
    text = service.metrics.render()
    for line in (
        b"proofload_queue_seconds_count 3.0",
        b"proofload_compute_seconds_count 3.0",
        b"proofload_batch_size_sum 3.0",
        b"proofload_queue_depth 0.0",
        b"proofload_shed_total 0.0",
    ):
        assert line in text
    assert b'proofload_model_info{device="cpu",framework="onnx",name="tiny",schema_sha256="5c",version="7"} 1.0' in text


def test_model_info_has_schema_hash_device_and_threads(service: Service) -> None:
    answer = health.respond(service, "/model/info")
    assert answer is not None
    info = json.loads(answer[2])
    assert {"name", "version", "framework", "features", "schema_sha256", "device", "threads"} <= set(info)
    assert (info["schema_sha256"], info["device"], info["threads"]) == ("5c", "cpu", 1)


def test_a_model_file_that_is_not_the_cards_is_never_served(tiny_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "tampered"))
    model = folder / "model.onnx"
    model.write_bytes(model.read_bytes() + b"\0")
    service = Service.start(Settings(model=str(folder)))
    with pytest.raises(StartupError, match="sha256"):
        service.wait_ready(WAIT_S)
    assert (service.state, service.live, service.started) == ("failed", False, False)
    service.drain(0.0)


def test_a_missing_provider_is_refused_and_what_there_is_is_named(tiny_model: Path) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(StartupError, match="CPUExecutionProvider"):
        Service.start(Settings(model=str(tiny_model), device="cuda"))


def test_an_unknown_model_is_refused_with_the_names_of_those_built(tiny_model: Path) -> None:
    with pytest.raises(StartupError, match="tiny"):
        Service.start(Settings(model="nope", fixtures=str(tiny_model.parent)))


@pytest.mark.parametrize("card", ["{", "[]", '{"name": "x"}', '{"name": 1, "files": {}}'])
def test_a_broken_card_is_one_clear_refusal(tmp_path: Path, card: str) -> None:
    (tmp_path / "model.json").write_text(card)
    with pytest.raises(StartupError, match=r"model\.json"):
        Service.start(Settings(model=str(tmp_path)))


def test_before_it_is_warm_requests_are_turned_away(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Service, "_load", lambda _self: None)
    service = Service.start(Settings(model=str(tiny_model)))
    assert (service.state, service.live, service.ready, service.started) == ("starting", True, False, False)
    with pytest.raises(NotReady):
        service.submit({"values": [1, 2, 3, 4]}, deadline_ns=None, request_id="r")
    service.drain(0.0)


def test_the_side_port_refuses_a_port_that_is_taken(service: Service) -> None:
    first = SidePort(service, "127.0.0.1", 0)
    try:
        with pytest.raises(StartupError, match=str(first.port)):
            SidePort(service, "127.0.0.1", first.port)
    finally:
        first.close()


def test_every_refusal_has_a_code_and_a_status() -> None:
    kinds = Refusal.__subclasses__()
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(400 <= kind.status < 600 for kind in kinds)
