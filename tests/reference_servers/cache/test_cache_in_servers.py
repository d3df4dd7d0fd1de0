"""The four servers as processes: the same answers without a cache, with one in memory, and with a Redis."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from google.protobuf import json_format

from proofload.brokers import Broker, embedded_broker
from proofload.report.reduce.cache_share import cache_share
from proofload.store.record import RunRecord
from proofload_servers.grpc_service.prediction_pb2 import (
    PredictBatchRequest,
    PredictBatchResponse,
    PredictRequest,
    PredictResponse,
)

from .conftest import PATIENT_MS, WAIT_S, RedisServer

pytestmark = pytest.mark.real
StartProgram = Callable[[str, Sequence[str], int], AbstractContextManager[tuple[Any, httpx.Client]]]
Until = Callable[[Callable[[], bool]], None]
Ask = Callable[[Sequence[dict[str, Any]]], list[Any]]
"""Requests, one call each, one after the other -> bodies of their answers."""
SERVICE = "/proofload.serving.v1.Prediction/"
REQUESTS: list[dict[str, Any]] = [
    {"id": "a", "values": [1, 2, 3, 4]},
    {"id": "b", "values": [4, 3, 2, 1]},
    {"id": "c", "values": [1.0, 2.0, 3.0, 4.0]},
    {"id": "d", "values": [1, 2, 3, 4], "explain": True},
    {"id": "e", "values": [0.0, 0.5, 0.25, -0.0]},
    {"id": "f", "values": [0.0, 0.5, 0.25, 0.0], "explain": True},
    {"id": "g", "values": [4, 3, 2, 1]},
    {"id": "h", "values": [1, 2, 3]},
    {"id": "i", "values": [1, 2, 3, 4]},
]
BATCH: list[dict[str, Any]] = [{"id": f"n{place}", "values": [number, 1, 0, 0]} for place, number in enumerate("45546")]
for one in BATCH:
    one["values"][0] = int(one["values"][0])


class Started:
    """A server: how to ask it, its metrics."""

    def __init__(self, ask: Ask, ask_batch: Ask, side: httpx.Client, stream: Stream | None = None) -> None:
        self.stream = stream
        self.ask = ask
        self.ask_batch = ask_batch
        self.side = side

    def count(self, name: str) -> float:
        """0.0 where there is no such metric."""
        lines = self.side.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"proofload_cache_{name} "))


class Starter:
    """How each server is started and spoken to."""

    def __init__(self, start: StartProgram, new_port: Callable[[], int], model: Path, broker: Callable[[], Broker]):
        self._start = start
        self._new_port = new_port
        self._model = model
        self._broker = broker

    @contextlib.contextmanager
    def __call__(self, server: str, cache: str, *flags: str) -> Iterator[Started]:
        common = ["--model", str(self._model), "--cache", cache, "--cache-budget-ms", str(PATIENT_MS), *flags]
        begin = {"grpc_service": self._grpc, "kafka_worker": self._kafka}.get(server, self._http)
        with begin(server, common) as started:
            yield started

    @contextlib.contextmanager
    def _http(self, server: str, flags: list[str]) -> Iterator[Started]:
        port = self._new_port()
        with self._start(server, [*flags, "--port", str(port)], port) as (_, client):
            yield Started(
                lambda bodies: [client.post("/v1/predict", json=body).json() for body in bodies],
                lambda bodies: client.post("/v1/predict/batch", json={"instances": bodies}).json()["predictions"],
                client,
            )

    @contextlib.contextmanager
    def _grpc(self, server: str, flags: list[str]) -> Iterator[Started]:
        port, side = self._new_port(), self._new_port()
        flags = [*flags, "--port", str(port), "--metrics-port", str(side)]
        with (
            self._start(server, flags, side) as (_, client),
            grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            yield Started(
                lambda bodies: _called(channel, bodies), lambda bodies: _called_batch(channel, bodies), client
            )

    @contextlib.contextmanager
    def _kafka(self, server: str, flags: list[str]) -> Iterator[Started]:
        side, broker, tag = self._new_port(), self._broker().bootstrap, f"t{self._new_port()}"
        topics = ["--broker", broker, "--input-topic", f"{tag}-in", "--output-topic", f"{tag}-out", "--group", tag]
        with self._start(server, [*flags, *topics, "--metrics-port", str(side)], side) as (_, client):
            with contextlib.closing(Stream(broker, tag)) as stream:
                yield Started(stream.ask, stream.ask, client, stream)


def _called(channel: grpc.Channel, bodies: Sequence[dict[str, Any]]) -> list[Any]:
    call = channel.unary_unary(f"{SERVICE}Predict", PredictRequest.SerializeToString, PredictResponse.FromString)
    answers: list[Any] = []
    for body in bodies:
        try:
            answer = call(PredictRequest(**body), timeout=WAIT_S, wait_for_ready=True)
            answers.append(json_format.MessageToDict(answer, preserving_proto_field_name=True))
        except grpc.RpcError as exc:
            answers.append({"error": str(exc.code())})
    return answers


def _called_batch(channel: grpc.Channel, bodies: Sequence[dict[str, Any]]) -> list[Any]:
    call = channel.unary_unary(
        f"{SERVICE}PredictBatch", PredictBatchRequest.SerializeToString, PredictBatchResponse.FromString
    )
    request = PredictBatchRequest(instances=[PredictRequest(**body) for body in bodies])
    answer = call(request, timeout=WAIT_S, wait_for_ready=True)
    return list(json_format.MessageToDict(answer, preserving_proto_field_name=True)["predictions"])


class Stream:
    """Requests into one partition; `arrived` has their places in the order in which the last replies came."""

    def __init__(self, broker: str, tag: str) -> None:
        self._tag = tag
        self._producer = Producer({"bootstrap.servers": broker, "linger.ms": 1})
        self._consumer = Consumer({"bootstrap.servers": broker, "group.id": "peer", "fetch.wait.max.ms": 1})
        self._consumer.list_topics(f"{tag}-out", timeout=WAIT_S)
        self._consumer.assign([TopicPartition(f"{tag}-out", 0, 0)])
        self.arrived: list[int] = []

    def ask(self, bodies: Sequence[dict[str, Any]]) -> list[Any]:
        for number, body in enumerate(bodies):
            self._producer.produce(
                f"{self._tag}-in", json.dumps(body), partition=0, headers=[("correlation-id", str(number))]
            )
        assert self._producer.flush(WAIT_S) == 0
        answers: dict[int, Any] = {}
        until = time.monotonic() + WAIT_S
        while len(answers) < len(bodies):
            assert time.monotonic() < until
            message: Any = self._consumer.poll(0.1)
            if message is not None:
                assert message.error() is None
                place = int(dict(message.headers())["correlation-id"])
                answers[place] = json.loads(message.value())
        self.arrived = list(answers)
        return [answers[place] for place in range(len(bodies))]

    def close(self) -> None:
        self._consumer.close()


@pytest.fixture(scope="module")
def starter(
    start_program: StartProgram,
    new_port: Callable[[], int],
    tiny_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Starter]:
    with contextlib.ExitStack() as stack:
        running: list[Broker] = []

        def broker() -> Broker:
            if not running:
                running.append(stack.enter_context(embedded_broker(tmp_path_factory.mktemp("broker"))))
            return running[0]

        yield Starter(start_program, new_port, tiny_model, broker)


def without_times(answers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What must be the same: all but how long it took, and the id of an error in the log."""
    return [
        {name: value for name, value in answer.items() if name != "timing_ms"}
        if "error" not in answer
        else {"error": answer["error"].get("code") if isinstance(answer["error"], dict) else answer["error"]}
        for answer in answers
    ]


@pytest.mark.parametrize(
    "server", ["flask_app", "fastapi_app", "grpc_service", pytest.param("kafka_worker", marks=pytest.mark.kafka)]
)
def test_a_server_answers_the_same_with_and_without_a_cache(server: str, starter: Starter, redis: RedisServer) -> None:
    with contextlib.ExitStack() as stack:
        # All at once: starting takes longest.
        with ThreadPoolExecutor(3) as pool:
            caches = ("none", "memory", redis.url)
            none, memory, shared = pool.map(lambda cache: stack.enter_context(starter(server, cache)), caches)
        expected = [without_times(ask(what)) for ask, what in ((none.ask, REQUESTS), (none.ask_batch, BATCH))]
        assert [one["id"] for one in expected[0] if "id" in one] == list("abcdefgi")
        assert [one["prediction"] for one in expected[1]] == [14.0, 15.0, 15.0, 14.0, 16.0]
        for cached in (memory, shared):
            for _ in range(2):
                assert without_times(cached.ask(REQUESTS)) == expected[0]
                assert without_times(cached.ask_batch(BATCH)) == expected[1]
            known = cached.count("hits_total") + cached.count("joined_total")
            asked = known + cached.count("misses_total") + cached.count("skipped_total")
            assert asked == 2 * (len(REQUESTS) - 1 + len(BATCH))
            assert known > 0
        assert none.count("hits_total") == 0
        assert "proofload_cache" not in none.side.get("/metrics").text


@pytest.mark.kafka
def test_replies_keep_the_order_of_their_requests_though_known_ones_are_found_at_once(starter: Starter) -> None:
    """Of ten requests nine are known and the first of each ten is not; the computation waits for company."""
    slow = ("--no-adaptive", "--max-batch", "64", "--max-delay-ms", "30")
    known = {"values": [7, 7, 7, 7]}
    with starter("kafka_worker", "memory", *slow) as worker:
        worker.ask([known])
        bodies = [{"values": [n, 0, 0, 0]} if n % 10 == 0 else known for n in range(100)]
        answers = worker.ask(bodies)
        assert worker.stream is not None
        assert worker.stream.arrived == list(range(100))
        assert [answer["prediction"] for answer in answers] == [float(n) if n % 10 == 0 else 7777.0 for n in range(100)]
        assert worker.count("hits_total") + worker.count("joined_total") == 90


@pytest.mark.parametrize("server", ["flask_app", "fastapi_app"])
def test_redis_dies_under_load_and_no_request_fails(
    server: str, starter: Starter, redis: RedisServer, until: Until
) -> None:
    stop = threading.Event()
    outcomes: list[tuple[int, Any]] = []

    def load(client: httpx.Client, place: int) -> None:
        number = place
        while not stop.is_set():
            number = (number + 3) % 40
            response = client.post("/v1/predict", json={"values": [number, 0, 0, 0]})
            right = response.status_code == 200 and response.json()["prediction"] == float(number)
            outcomes.append((response.status_code, right))

    def more(than: int = 60) -> None:
        goal = len(outcomes) + than
        until(lambda: len(outcomes) >= goal or not all(thread.is_alive() for thread in threads))

    with starter(server, redis.url) as started:
        threads = [threading.Thread(target=load, args=(started.side, place)) for place in range(3)]
        for thread in threads:
            thread.start()
        try:
            until(lambda: started.count("hits_total") > 0)
            redis.kill()
            more()
            until(lambda: started.count("skipped_total") > 0)
            more()
        finally:
            stop.set()
            for thread in threads:
                thread.join(WAIT_S)
            redis.kill()
            redis.start()
    assert len(outcomes) > 120
    assert set(outcomes) == {(200, True)}


def test_two_workers_have_a_cache_each_and_add_up_their_metrics(starter: Starter) -> None:
    with starter("fastapi_app", "memory", "--workers", "2") as started:
        answers = started.ask([{"values": [number % 3, 0, 0, 0]} for number in range(60)])
        assert [answer["prediction"] for answer in answers] == [float(number % 3) for number in range(60)]
        assert started.count("hits_total") + started.count("misses_total") == 60
        assert 3 <= started.count("entries") <= 6


def test_what_is_no_cache_is_one_clear_message_and_exit_2_without_the_password(tiny_model: Path) -> None:
    command = [sys.executable, "-m", "proofload_servers.fastapi_app", "--model", str(tiny_model)]
    told = subprocess.run(
        [*command, "--cache", "redis:/:secret@host"], capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert told.returncode == 2
    assert "say none, memory or redis://HOST:PORT" in told.stderr
    assert "secret" not in told.stderr


def test_the_environment_names_the_cache_too_and_model_info_tells_it_without_secrets(
    starter: Starter, monkeypatch: pytest.MonkeyPatch, tiny_model: Path, start_program: StartProgram, free_port: int
) -> None:
    monkeypatch.setenv("PROOFLOAD_CACHE", "redis://:secret@127.0.0.1:1/0")
    with start_program("fastapi_app", ["--model", str(tiny_model), "--port", str(free_port)], free_port) as (_, client):
        info = client.get("/model/info").json()
    assert info["cache"] == {"kept_in": "redis://127.0.0.1:1/0", "entries": None, "ttl_s": 3600.0}


def test_set_reaches_the_cache_of_a_started_target_and_the_report_tells_its_share(
    tmp_path: Path, built_models: Path
) -> None:
    """Of four payloads most requests are repeats."""
    lines = (built_models / "fraud" / "payloads.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    payloads = tmp_path / "payloads.jsonl"
    payloads.write_text("".join(lines[:4]), encoding="utf-8")
    settings = ("rate_rps=40", "duration_s=3", "target.start.env.PROOFLOAD_CACHE=memory")
    command = [
        *(sys.executable, "-m", "proofload", "run", "load", "--target", "fastapi", "--payloads", str(payloads)),
        *(part for setting in settings for part in ("--set", setting)),
        *("--out", str(tmp_path / "run")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert done.returncode in {0, 1, 3}, done.stderr
    assert "requests were answered from its prediction cache" in (tmp_path / "run" / "report.md").read_text()
    found = cache_share(RunRecord(tmp_path / "run").readings(), [])
    assert found is not None
    assert found.hits > found.misses > 0
