"""The gRPC reference server as a real process."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf import json_format
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from proofload_servers.grpc_service import generate
from proofload_servers.grpc_service.prediction_pb2 import (
    GetModelInfoRequest,
    GetModelInfoResponse,
    PredictBatchRequest,
    PredictBatchResponse,
    PredictRequest,
    PredictResponse,
)

pytestmark = pytest.mark.real
Start = Callable[..., AbstractContextManager["Running"]]
Until = Callable[[Callable[[], bool]], None]
SERVICE = "/proofload.serving.v1.Prediction/"
WAIT_S = 60.0
WEIGHTS = (1.0, 10.0, 100.0, 1000.0)


@dataclass(frozen=True, slots=True)
class Running:
    """A started server, a channel to it, and its side port."""

    process: subprocess.Popen[bytes]
    channel: grpc.Channel
    side: httpx.Client

    def call(self, method: str, request: Any, response: Any) -> Any:
        return self.channel.unary_unary(SERVICE + method, type(request).SerializeToString, response.FromString)

    def predict(self, request: PredictRequest, **options: Any) -> PredictResponse:
        answer: PredictResponse = self.call("Predict", request, PredictResponse)(request, timeout=WAIT_S, **options)
        return answer

    def stream(self, requests: Iterator[PredictRequest]) -> Iterator[PredictResponse]:
        call = self.channel.stream_stream(
            SERVICE + "PredictStream", PredictRequest.SerializeToString, PredictResponse.FromString
        )
        answers: Any = call(requests, timeout=WAIT_S)
        return iter(answers)


def command(model: Path, port: int, side: int, *flags: str) -> list[str]:
    where = ["--host", "127.0.0.1", "--port", str(port), "--metrics-port", str(side)]
    return [sys.executable, "-m", "proofload_servers.grpc_service", "--model", str(model), *where, *flags]


@pytest.fixture(scope="session")
def started(start_program: Callable[..., Any], new_port: Callable[[], int]) -> Start:
    """`started(model, *flags)`: the server, ready, with a channel that is."""

    @contextlib.contextmanager
    def start(model: Path, *flags: str) -> Iterator[Running]:
        port, side = new_port(), new_port()
        with (
            start_program("grpc_service", command(model, port, side, *flags)[3:], side) as (process, client),
            grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            grpc.channel_ready_future(channel).result(WAIT_S)
            yield Running(process, channel, client)

    return start


@pytest.fixture(scope="module")
def server(tiny_model: Path, started: Start) -> Iterator[Running]:
    with started(tiny_model) as running:
        yield running


def _trailers(call: Any) -> dict[str, str]:
    return dict(call.trailing_metadata())


def request(number: int) -> PredictRequest:
    return PredictRequest(id=f"r{number}", values=[number, 0.5, 2, 0])


def expected(number: int) -> float:
    return number + 5.0 + 200.0


def test_a_prediction_has_the_json_form_of_the_http_servers(server: Running) -> None:
    body = json_format.MessageToDict(server.predict(request(3)), preserving_proto_field_name=True)
    timing = body.pop("timing_ms")
    assert body == {"id": "r3", "prediction": expected(3), "model": {"name": "tiny", "version": "7"}}
    assert set(timing) == {"queue", "compute"}


def test_a_zero_is_an_answer_and_not_an_absence(server: Running) -> None:
    answer = server.predict(PredictRequest(values=[0, 0, 0, 0]))
    assert answer.HasField("prediction")
    assert answer.prediction.number_value == 0.0
    assert answer.id


def test_explain_adds_the_features(server: Running) -> None:
    answer = server.predict(PredictRequest(values=[1, 2, 3, 4], explain=True))
    assert dict(answer.features.items()) == {"x0": 1.0, "x1": 2.0, "x2": 3.0, "x3": 4.0}


def test_a_batch_is_answered_in_order_with_the_model_beside(server: Running) -> None:
    batch = PredictBatchRequest(instances=[request(number) for number in range(20)])
    answer = server.call("PredictBatch", batch, PredictBatchResponse)(batch, timeout=WAIT_S)
    assert [one.prediction.number_value for one in answer.predictions] == [expected(number) for number in range(20)]
    assert (answer.model.name, answer.model.version) == ("tiny", "7")
    assert not answer.predictions[0].HasField("model")


def test_a_stream_answers_each_message_in_order_and_goes_on_after_a_bad_one(server: Running) -> None:
    messages = [request(number) for number in range(300)]
    messages[7] = PredictRequest(id="bad", values=[1.0])
    answers = list(server.stream(iter(messages)))
    assert len(answers) == 300
    assert answers[7].error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert answers[7].id == "bad"
    assert not answers[7].HasField("prediction")
    good = [(number, answer) for number, answer in enumerate(answers) if number != 7]
    assert all((answer.id, answer.prediction.number_value) == (f"r{n}", expected(n)) for n, answer in good)


@pytest.mark.parametrize(
    "wrong",
    [
        PredictRequest(),
        PredictRequest(values=[1, 2, 3]),
        PredictRequest(values=[1, 2, 3, float("nan")]),
        PredictRequest(image=b"abc"),
        PredictRequest(values=[1, 2, 3, 4], image=b"abc"),
    ],
)
def test_a_wrong_request_is_an_invalid_argument_that_echoes_nothing(server: Running, wrong: PredictRequest) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.predict(wrong, metadata=(("x-request-id", "mine"),))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "abc" not in str(caught.value.details())
    assert _trailers(caught.value)["x-request-id"] == "mine"


def test_the_callers_request_id_is_echoed(server: Running) -> None:
    call = server.call("Predict", request(1), PredictResponse)
    _, done = call.with_call(PredictRequest(values=[1, 2, 3, 4]), metadata=(("x-request-id", "abc-1"),), timeout=WAIT_S)
    assert _trailers(done)["x-request-id"] == "abc-1"


def test_an_unknown_method_is_unimplemented(server: Running) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.call("Nothing", request(1), PredictResponse)(request(1), timeout=WAIT_S)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_model_info_says_what_is_served(server: Running) -> None:
    ask = GetModelInfoRequest()
    info = server.call("GetModelInfo", ask, GetModelInfoResponse)(ask, timeout=WAIT_S)
    assert (info.name, info.version, info.framework, info.schema_sha256) == ("tiny", "7", "onnx", "5c")
    assert [feature["name"] for feature in info.features] == ["x0", "x1", "x2", "x3"]
    side = server.side.get("/model/info").json()
    assert json_format.MessageToDict(info, preserving_proto_field_name=True)["files"] == side["files"]


@pytest.mark.parametrize("service", ["", "proofload.serving.v1.Prediction"])
def test_the_health_service_says_serving(server: Running, service: str, until: Until) -> None:
    ask = health_pb2.HealthCheckRequest(service=service)
    check = server.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        health_pb2.HealthCheckRequest.SerializeToString,
        health_pb2.HealthCheckResponse.FromString,
    )
    until(lambda: check(ask, timeout=WAIT_S).status == health_pb2.HealthCheckResponse.SERVING)


def test_reflection_describes_the_service(server: Running) -> None:
    found = ProtoReflectionDescriptorDatabase(server.channel)
    assert "proofload.serving.v1.Prediction" in found.get_services()
    file = found.FindFileContainingSymbol("proofload.serving.v1.Prediction")
    assert {method.name for method in file.service[0].method} >= {"Predict", "PredictBatch", "PredictStream"}


def test_the_side_port_has_health_and_metrics(server: Running) -> None:
    server.predict(request(1))
    assert server.side.get("/health/live").status_code == 200
    text = server.side.get("/metrics").text
    assert 'proofload_request_seconds_count{route="Predict",status="200"}' in text
    assert 'proofload_model_info{device="cpu",framework="onnx",name="tiny"' in text


def test_expired_work_is_dropped_and_counted(tiny_model: Path, started: Start, until: Until) -> None:
    """The deadline passes while the batch waits for company."""
    with started(tiny_model, "--no-adaptive", "--max-delay-ms", "1500", "--max-batch", "8") as running:
        with pytest.raises(grpc.RpcError) as caught:
            running.call("Predict", request(1), PredictResponse)(request(1), timeout=1)
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        until(lambda: "proofload_expired_total 1.0" in running.side.get("/metrics").text)
        assert "proofload_batch_size_count 0.0" in running.side.get("/metrics").text


def test_a_full_queue_sheds_with_a_time_to_try_again(tiny_model: Path, started: Start) -> None:
    """One place in the queue and a batch that waits half a second for company: of many at once most are refused."""
    flags = ("--max-queue", "1", "--no-adaptive", "--max-delay-ms", "500", "--max-batch", "2")
    with started(tiny_model, *flags) as running:
        calls = [
            running.call("Predict", request(n), PredictResponse).future(request(n), timeout=WAIT_S) for n in range(30)
        ]
        codes = [call.code() for call in calls]
        shed = [call for call, code in zip(calls, codes, strict=True) if code == grpc.StatusCode.RESOURCE_EXHAUSTED]
        assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert shed
        assert codes.count(grpc.StatusCode.OK) >= 1
        trailers = _trailers(shed[0])
        assert int(trailers["grpc-retry-pushback-ms"]) > 0
        assert int(trailers["retry-after"]) >= 1
        assert "proofload_shed_total" in running.side.get("/metrics").text


def test_sigterm_answers_what_is_in_flight_and_exits_with_zero(tiny_model: Path, started: Start) -> None:
    flags = ("--no-adaptive", "--max-delay-ms", "3000", "--max-batch", "64", "--drain-notice-s", "0")
    with started(tiny_model, *flags) as running:
        answers = running.stream(iter([request(5)]))  # waits in the batch while the signal comes
        call = running.call("Predict", request(6), PredictResponse).future(request(6), timeout=WAIT_S)
        with pytest.raises(grpc.RpcError):  # answered at once, and behind the other two on the same connection
            running.predict(PredictRequest())
        assert not call.done()
        running.process.send_signal(signal.SIGTERM)
        assert call.result().prediction.number_value == expected(6)
        assert next(answers).prediction.number_value == expected(5)
        assert running.process.wait(WAIT_S) == 0


def test_an_open_stream_is_told_unavailable_when_the_server_goes(tiny_model: Path, started: Start) -> None:
    """A caller that neither sends nor closes does not hold the server up."""
    with started(tiny_model, "--drain-notice-s", "0") as running:
        over = threading.Event()

        def requests() -> Iterator[PredictRequest]:
            yield request(1)
            over.wait(WAIT_S)

        answers = running.stream(requests())
        assert next(answers).prediction.number_value == expected(1)
        running.process.send_signal(signal.SIGTERM)
        with pytest.raises(grpc.RpcError) as caught:
            next(answers)
        over.set()
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert "going away" in str(caught.value.details())
        assert running.process.wait(WAIT_S) == 0


def test_two_workers_share_the_port_and_their_metrics(tiny_model: Path, started: Start) -> None:
    with started(tiny_model, "--workers", "2") as running:
        for number in range(20):
            assert running.predict(request(number)).prediction.number_value == expected(number)
        assert 'status="200"' in running.side.get("/metrics").text
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(WAIT_S) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_taken_port_is_one_message_and_exit_2(tiny_model: Path, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = command(tiny_model, port, 0, "--workers", workers)
        done = subprocess.run(line, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_model_is_one_message_and_exit_2(tmp_path: Path) -> None:
    done = subprocess.run(command(tmp_path / "none", 0, 0), capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_the_generated_messages_are_not_stale(tmp_path: Path) -> None:
    assert generate.generate(tmp_path) == 0
    for name in generate.GENERATED:
        fresh = tmp_path / "proofload_servers" / "grpc_service" / name
        assert fresh.read_text() == (generate.FOLDER / name).read_text(), f"{name}: run the generate module"
