"""Flask, FastAPI and gRPC as real processes that want credentials, and all four where they must want some."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import jwt
import pytest

from proofload_servers.grpc_service.prediction_pb2 import (
    GetModelInfoRequest,
    GetModelInfoResponse,
    PredictBatchRequest,
    PredictBatchResponse,
    PredictRequest,
    PredictResponse,
)

pytestmark = pytest.mark.real
KEY = "alice-has-a-long-random-key"
SECRET = "0123456789abcdef0123456789abcdef"
VARIABLES = {"PROOFLOAD_API_KEYS": f"alice:{KEY} slow:slow-has-a-key-of-its-own", "PROOFLOAD_JWT_KEY": SECRET}
FLAGS = ("--auth", "any", "--jwt-algorithm", "HS256", "--jwt-scope", "predict", "--access-log", "--max-body-kib", "4")
LIMITS = ("--rate-limit-rps", "0.01", "--rate-limit-burst", "30")
SERVICE = "/proofload.serving.v1.Prediction/"
WAIT_S = 60.0
BODY = {"values": [1, 2, 3, 4]}


def token(**claims: Any) -> str:
    return "Bearer " + jwt.encode({"exp": int(time.time()) + 60} | claims, SECRET, algorithm="HS256")


@dataclass(frozen=True, slots=True)
class Secured:
    """A server with its health client, its address and the file in which its output lands."""

    client: httpx.Client
    port: int
    log: Path

    def told_nothing_secret(self) -> None:
        """After the block: neither in what it wrote nor in what it shows."""
        written = self.log.read_text()
        assert '"status":401' in written.replace(" ", "")
        for secret in (KEY, SECRET, "slow-has-a-key-of-its-own", token()[:20]):
            assert secret not in written


@contextlib.contextmanager
def running(program: str, model: Path, new_port: Callable[[], int], log: Path, *flags: str) -> Iterator[Secured]:
    port, side = new_port(), new_port()
    where = ["--host", "127.0.0.1", "--port", str(port), "--metrics-port", str(side)]
    command = [sys.executable, "-m", f"proofload_servers.{program}", "--model", str(model), *where, *FLAGS, *flags]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=os.environ | VARIABLES)
    health = side if program == "grpc_service" else port
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{health}", timeout=WAIT_S) as client:
            give_up = time.monotonic() + WAIT_S
            while not ready(client):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < give_up
                time.sleep(0.02)
            yield Secured(client, port, log)
    finally:
        process.terminate()
        process.wait(WAIT_S)


def ready(client: httpx.Client) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return client.get("/health/ready").status_code == 200
    return False


@pytest.mark.parametrize("program", ["flask_app", "fastapi_app"])
def test_over_http_only_who_may_gets_an_answer_and_nobody_a_hint(
    program: str, tiny_model: Path, new_port: Callable[[], int], tmp_path: Path
) -> None:
    with running(program, tiny_model, new_port, tmp_path / "log", *LIMITS, "--guard-metrics") as server:
        ask = server.client.post
        assert ask("/v1/predict", json=BODY, headers={"X-Api-Key": KEY}).json()["prediction"] == 4321.0
        assert ask("/v1/predict", json=BODY, headers={"Authorization": token(scope="predict")}).status_code == 200
        refused = [
            ask("/v1/predict", json=BODY, headers=headers)
            for headers in (
                {},
                {"X-Api-Key": KEY[:-1]},
                {"Authorization": token(exp=1, scope="predict")},
                {"Authorization": token(scope="predict")[:-2]},
            )
        ]
        for answer in refused:
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert answer.json()["error"] | {"request_id": ""} == refused[0].json()["error"] | {"request_id": ""}
        assert ask("/v1/predict", json=BODY, headers={"Authorization": token()}).status_code == 403
        assert ask("/v1/predict", content=b" " * 5000, headers={"X-Api-Key": KEY}).status_code == 413
        assert ask("/v1/predict", content=b" " * 5000).status_code == 401, "an unknown caller's body is not read"

        for path in ("/model/info", "/metrics"):
            assert server.client.get(path).status_code == 401
            assert server.client.get(path, headers={"Authorization": token(scope="predict")}).status_code == 200
        assert server.client.get("/openapi.json").status_code == 404
        assert server.client.get("/health/live").status_code == 200

        slow = {"X-Api-Key": "slow-has-a-key-of-its-own"}
        batch = ask("/v1/predict/batch", json={"instances": [BODY] * 40}, headers=slow)
        assert batch.status_code == 200
        limited = ask("/v1/predict", json=BODY, headers=slow)
        assert limited.status_code == 429
        assert int(limited.headers["Retry-After"]) >= 100, "forty were taken, and a hundredth comes a second"
        assert ask("/v1/predict", json=BODY, headers={"X-Api-Key": KEY}).status_code == 200
        page = server.client.get("/metrics", headers={"X-Api-Key": KEY}).text
        assert 'turned_away_total{reason="rate_limited"} 1.0' in page
        assert KEY not in page
        assert "alice" not in page

        guesses = [
            ask("/v1/predict", json=BODY, headers={"X-Api-Key": "a guess", "X-Forwarded-For": f"10.0.0.{number}"})
            for number in range(31)
        ]
        assert guesses[-1].status_code == 429, "whatever address it claims to come from"
    server.told_nothing_secret()


def test_over_grpc_only_who_may_gets_an_answer(tiny_model: Path, new_port: Callable[[], int], tmp_path: Path) -> None:
    with (
        running("grpc_service", tiny_model, new_port, tmp_path / "log", *LIMITS) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):

        def call(method: str, request: Any, answer: Any, **metadata: str) -> Any:
            made = channel.unary_unary(SERVICE + method, type(request).SerializeToString, answer.FromString)
            pairs = tuple((name.replace("_", "-"), value) for name, value in metadata.items())
            return made(request, timeout=WAIT_S, metadata=pairs)

        one = PredictRequest(values=[1, 2, 3, 4])
        assert call("Predict", one, PredictResponse, x_api_key=KEY).prediction.number_value == 4321.0
        assert call("Predict", one, PredictResponse, authorization=token(scope="predict")).id
        info = GetModelInfoRequest()
        assert call("GetModelInfo", info, GetModelInfoResponse, x_api_key=KEY).name == "tiny"
        for method, request, answer in (
            ("Predict", one, PredictResponse),
            ("GetModelInfo", info, GetModelInfoResponse),
        ):
            for metadata in ({}, {"x_api_key": KEY[:-1]}, {"authorization": token(exp=1, scope="predict")}):
                with pytest.raises(grpc.RpcError) as refused:
                    call(method, request, answer, **metadata)
                assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
                assert refused.value.details() == "valid credentials are needed"
        with pytest.raises(grpc.RpcError) as refused:
            call("Predict", one, PredictResponse, authorization=token())
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED

        stream = channel.stream_stream(
            SERVICE + "PredictStream", PredictRequest.SerializeToString, PredictResponse.FromString
        )
        with pytest.raises(grpc.RpcError) as refused:
            list(stream(iter([one]), timeout=WAIT_S))
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        answers = list(stream(iter([one] * 3), timeout=WAIT_S, metadata=(("x-api-key", KEY),)))
        assert [answer.prediction.number_value for answer in answers] == [4321.0] * 3

        slow = "slow-has-a-key-of-its-own"
        call("PredictBatch", PredictBatchRequest(instances=[one] * 40), PredictBatchResponse, x_api_key=slow)
        with pytest.raises(grpc.RpcError) as refused:
            call("Predict", one, PredictResponse, x_api_key=slow)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        trailers: Any = refused.value.trailing_metadata()
        assert int(dict(trailers)["retry-after"]) >= 100
        with pytest.raises(grpc.RpcError) as refused:
            call("Predict", PredictRequest(image=b" " * 5000), PredictResponse, x_api_key=KEY)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        packed = channel.unary_unary(SERVICE + "Predict", PredictRequest.SerializeToString, PredictResponse.FromString)
        with pytest.raises(grpc.RpcError) as refused:  # a kilobyte on the wire
            packed(
                PredictRequest(image=b" " * 1_000_000), timeout=WAIT_S, metadata=(("x-api-key", KEY),),
                compression=grpc.Compression.Gzip,
            )  # fmt: skip
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

        assert server.client.get("/model/info").status_code == 401
        assert server.client.get("/model/info", headers={"X-Api-Key": KEY}).json()["name"] == "tiny"
        assert 'reason="unauthenticated"} ' in server.client.get("/metrics").text
    server.told_nothing_secret()


@pytest.mark.parametrize("program", ["flask_app", "fastapi_app", "grpc_service", "kafka_worker"])
def test_beyond_loopback_it_refuses_to_start_unless_told_to(program: str, tiny_model: Path) -> None:
    flags = ["--broker", "127.0.0.1:1"] if program == "kafka_worker" else []
    command = [sys.executable, "-m", f"proofload_servers.{program}", "--model", str(tiny_model), "--port", "0", *flags]
    ended = subprocess.run([*command, "--host", "0.0.0.0"], capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert ended.returncode == 2
    assert "--allow-unauthenticated" in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
