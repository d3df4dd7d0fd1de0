"""Flask and FastAPI as real processes: one contract, two servers."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import onnxruntime
import pytest

pytestmark = pytest.mark.real
Start = Callable[..., AbstractContextManager["Running"]]
Until = Callable[[Callable[[], bool]], None]
SERVERS = ["flask_app", "fastapi_app"]
WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Running:
    """A started server and a client for it."""

    process: subprocess.Popen[bytes]
    client: httpx.Client

    def predict(self, values: Any, **headers: str) -> httpx.Response:
        return self.client.post("/v1/predict", json={"values": values}, headers=headers)

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_S)


def command(server: str, model: Path, port: int, *flags: str) -> list[str]:
    base = [sys.executable, "-m", f"proofload_servers.{server}", "--model", str(model), "--port", str(port)]
    return [*base, "--host", "127.0.0.1", *flags]


@pytest.fixture(scope="session")
def started(start_program: Callable[..., Any]) -> Start:
    """`started("flask_app", model, port, *flags)`: the server, ready."""

    @contextlib.contextmanager
    def start(server: str, model: Path, port: int, *flags: str) -> Iterator[Running]:
        with start_program(server, command(server, model, port, *flags)[3:], port) as (process, client):
            yield Running(process, client)

    return start


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, tiny_model: Path, started: Start, new_port: Callable[[], int]
) -> Iterator[Running]:
    with started(request.param, tiny_model, new_port(), "--max-body-kib", "4") as running:
        yield running


def test_a_prediction_has_the_contracts_members(server: Running) -> None:
    response = server.client.post("/v1/predict", json={"id": "q-1", "values": [1, 2, 3, 4]})
    assert response.status_code == 200
    body = response.json()
    assert set(body) == {"id", "prediction", "model", "timing_ms"}
    assert (body["id"], body["prediction"]) == ("q-1", 4321.0)
    assert body["model"] == {"name": "tiny", "version": "7"}
    assert set(body["timing_ms"]) == {"queue", "compute"}


def test_a_batch_answers_in_order(server: Running) -> None:
    instances = [{"values": [index, 0, 0, 0], "explain": index == 1} for index in range(5)]
    body = server.client.post("/v1/predict/batch", json={"instances": instances}).json()
    assert [one["prediction"] for one in body["predictions"]] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert body["model"] == {"name": "tiny", "version": "7"}
    assert body["predictions"][1]["features"] == {"x0": 1, "x1": 0, "x2": 0, "x3": 0}


def test_concurrent_callers_never_get_each_others_answers(server: Running) -> None:
    def ask(start: int) -> list[tuple[int, float]]:
        with httpx.Client(base_url=server.client.base_url, timeout=WAIT_S) as client:
            return [
                (number, client.post("/v1/predict", json={"values": [number, 0, 0, 0]}).json()["prediction"])
                for number in range(start, start + 60)
            ]

    with ThreadPoolExecutor(6) as pool:
        for answers in pool.map(ask, range(0, 600, 100)):
            assert all(number == prediction for number, prediction in answers)


def test_the_callers_correlation_id_comes_back_and_forged_lines_do_not(server: Running) -> None:
    assert server.predict([0, 0, 0, 0], **{"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert server.predict([0, 0, 0, 0], **{"X-Request-Id": 'a b"<c>'}).headers["x-request-id"] == "abc"
    assert server.predict([0, 0, 0, 0]).headers["x-request-id"]
    error = server.predict([0], **{"X-Request-Id": "abc-2"})
    assert error.json()["error"]["request_id"] == error.headers["x-request-id"] == "abc-2"


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b'{"values": [1, 2, 3, NaN]}', 400, "invalid_json"),
        (b'{"values": [1, 2, 3]}', 400, "invalid_input"),
        (b'{"values": [' + b" " * 5000 + b"1]}", 413, "body_too_large"),
    ],
)
def test_wrong_requests_get_a_code_and_no_internals(server: Running, content: bytes, status: int, code: str) -> None:
    response = server.client.post("/v1/predict", content=content)
    assert response.status_code == status
    error = response.json()["error"]
    assert set(error) == {"code", "message", "request_id"}
    assert error["code"] == code
    assert "Traceback" not in response.text


CHUNKED = b"POST /v1/predict HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"


def connected(server: Running) -> socket.socket:
    return socket.create_connection((server.client.base_url.host, server.client.base_url.port or 80), WAIT_S)


def test_a_body_of_unknown_length_is_limited_too(server: Running) -> None:
    with connected(server) as connection:
        connection.sendall(CHUNKED)
        with contextlib.suppress(OSError):  # the server may close as soon as it has said no
            for _ in range(64):
                connection.sendall(b"400\r\n%s\r\n" % (b" " * 1024))
            connection.sendall(b"0\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(("size", "status"), [(4096, 200), (4097, 413), (60_000, 413)])
def test_a_body_of_unknown_length_that_arrives_at_once_is_limited_to_the_byte(
    server: Running, size: int, status: int
) -> None:
    """Chunks and their end in one write, so that a server may read all of it before it looks at any of it."""
    body = b'{"values": [1, 2, 3, 4]}'.ljust(size)
    with connected(server) as connection:
        connection.sendall(CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (size, body))
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 %d " % status)


def test_unknown_paths_and_methods_get_the_same_error_form(server: Running) -> None:
    assert server.client.get("/nope").json()["error"]["code"] == "not_found"
    wrong = server.client.get("/v1/predict")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")


def test_an_expired_deadline_is_504_and_a_senseless_one_400(server: Running) -> None:
    assert server.predict([0, 0, 0, 0], **{"X-Request-Timeout-Ms": "0"}).status_code == 504
    assert server.predict([0, 0, 0, 0], **{"X-Request-Timeout-Ms": "soon"}).status_code == 400
    assert server.predict([0, 0, 0, 0], **{"X-Request-Timeout-Ms": "60000"}).status_code == 200


def test_probes_info_and_metrics_answer(server: Running) -> None:
    for path in ("/health/live", "/health/ready", "/health/startup"):
        assert server.client.get(path).json() == {"status": "ready"}
    info = server.client.get("/model/info").json()
    assert (info["name"], info["version"], info["schema_sha256"]) == ("tiny", "7", "5c")
    server.predict([0, 0, 0, 0])
    metrics = server.client.get("/metrics").text
    assert 'proofload_request_seconds_count{route="/v1/predict",status="200"}' in metrics
    for name in ("queue_seconds", "compute_seconds", "batch_size"):
        assert f"proofload_{name}_bucket" in metrics
    for name in ("queue_depth", "shed_total", "expired_total", "model_info"):
        assert f"proofload_{name}" in metrics


@pytest.mark.parametrize("name", SERVERS)
def test_sigterm_says_not_ready_finishes_what_is_in_flight_and_exits_0(
    name: str, tiny_model: Path, free_port: int, started: Start, until: Until
) -> None:
    # A static batch that nobody fills keeps the request in flight well beyond the signal, and beyond the notice.
    flags = ("--no-adaptive", "--max-batch", "8", "--max-delay-ms", "4000", "--drain-notice-s", "3")
    with started(name, tiny_model, free_port, *flags) as running, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(running.predict, [1, 2, 3, 4])
        until(lambda: b"proofload_queue_depth 1.0" in running.client.get("/metrics").content)
        running.process.send_signal(signal.SIGTERM)
        until(lambda: running.client.get("/health/ready").status_code == 503)
        assert running.client.get("/health/live").status_code == 200
        assert answer.result(WAIT_S).json()["prediction"] == 4321.0
        running.client.close()
        assert running.process.wait(WAIT_S) == 0


@pytest.mark.parametrize("name", SERVERS)
def test_an_overloaded_server_sheds_at_once_with_retry_after(
    name: str, tiny_model: Path, free_port: int, started: Start
) -> None:
    flags = ("--no-adaptive", "--max-batch", "16", "--max-delay-ms", "1000", "--max-queue", "2")
    with started(name, tiny_model, free_port, *flags) as running, ThreadPoolExecutor(12) as pool:
        # Twelve at once: a batch of two waits a second for company, and there is no room for the other ten.
        responses = [
            future.result(WAIT_S) for future in [pool.submit(one_shot, free_port, number) for number in range(12)]
        ]
        shed = [response for response in responses if response.status_code == 503]
        answered = [response for response in responses if response.status_code == 200]
        assert len(shed) + len(answered) == 12
        assert shed
        assert answered
        assert all(response.json()["error"]["code"] == "overloaded" for response in shed)
        assert all(int(response.headers["retry-after"]) >= 1 for response in shed)
        assert f"proofload_shed_total {float(len(shed))}" in running.client.get("/metrics").text


def one_shot(port: int, number: int) -> httpx.Response:
    return httpx.post(f"http://127.0.0.1:{port}/v1/predict", json={"values": [number, 0, 0, 0]}, timeout=WAIT_S)


def answers(port: int, number: int) -> bool:
    return bool(one_shot(port, number).json().get("prediction") == number)


@pytest.mark.parametrize("name", SERVERS)
def test_two_workers_share_the_port_and_add_up_their_metrics(
    name: str, tiny_model: Path, free_port: int, started: Start, until: Until
) -> None:
    with started(name, tiny_model, free_port, "--workers", "2") as running:
        for number in range(20):
            # Ready is what one of them said; the other may still refuse, which is not counted as answered.
            until(partial(answers, free_port, number))
        wanted = 'proofload_request_seconds_count{route="/v1/predict",status="200"} 20.0'
        until(lambda: wanted in running.client.get("/metrics").text)
        running.client.close()
        assert running.terminate() == 0


@pytest.mark.parametrize("name", SERVERS)
def test_a_taken_port_is_one_clear_message_and_exit_2(name: str, tiny_model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        ended = subprocess.run(
            command(name, tiny_model, port), capture_output=True, text=True, timeout=WAIT_S, check=False
        )
    assert ended.returncode == 2
    assert str(port) in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("name", SERVERS)
def test_a_missing_device_or_model_is_one_clear_message_and_exit_2(name: str, tiny_model: Path, free_port: int) -> None:
    cases: list[tuple[Path, tuple[str, ...]]] = [(tiny_model / "nope", ())]
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        cases.append((tiny_model, ("--device", "cuda")))
    for model, flags in cases:
        ended = subprocess.run(
            command(name, model, free_port, *flags), capture_output=True, text=True, timeout=WAIT_S, check=False
        )
        assert ended.returncode == 2
        assert ended.stderr.startswith("error: ")
        assert "Traceback" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("name", SERVERS)
def test_a_tampered_model_ends_the_server_with_exit_2(
    name: str, tiny_model: Path, free_port: int, tmp_path: Path
) -> None:
    for file in ("model.json", "model.onnx"):
        (tmp_path / file).write_bytes((tiny_model / file).read_bytes())
    with (tmp_path / "model.onnx").open("ab") as model:
        model.write(b"\0")
    ended = subprocess.run(
        command(name, tmp_path, free_port), capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert ended.returncode == 2
    assert "sha256" in ended.stderr


@pytest.mark.parametrize("name", SERVERS)
def test_log_lines_are_json_with_the_callers_id_when_asked_for(
    name: str, tiny_model: Path, free_port: int, tmp_path: Path, until: Until
) -> None:
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command(name, tiny_model, free_port, "--access-log"), stdout=out, env=os.environ | {"PYTHONUNBUFFERED": "1"}
        )
        try:
            until(lambda: b'"ready"' in log.read_bytes())
            httpx.post(
                f"http://127.0.0.1:{free_port}/v1/predict",
                json={"values": [1, 2, 3, 4]},
                headers={"X-Request-Id": "find-me"},
                timeout=WAIT_S,
            )
        finally:
            process.terminate()
            process.wait(WAIT_S)
    lines = [httpx.Response(200, content=line).json() for line in log.read_bytes().splitlines()]
    (access,) = [line for line in lines if line.get("request_id") == "find-me"]
    assert (access["route"], access["status"]) == ("/v1/predict", 200)
