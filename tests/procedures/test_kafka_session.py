"""Workers that kafka-delivery starts ask for a session that their broker takes."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from proofload import brokers
from proofload.procedures._kafka_delivery import session
from proofload.procedures._kafka_delivery.session import LEAST_S, least_session_s, session_told
from proofload.procedures._kafka_delivery.stream import workers_of
from proofload.scenarios import load_scenario
from proofload.target_model import Start, Target

ENV = {"SESSION": "{session_s}"}
REFUSED = KafkaException(KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED))


@pytest.mark.parametrize(("asked", "least", "told"), [(4, 6, 6), (8, 6, 8), (4, 1, 4)])
def test_it_is_what_was_asked_for_or_the_least_that_the_broker_takes(
    monkeypatch: pytest.MonkeyPatch, asked: float, least: float, told: float
) -> None:
    monkeypatch.setattr(session, "least_session_s", lambda _bootstrap: least)
    assert session_told(ENV, asked, "h:1", embedded=False) == told


def test_nobody_is_asked_where_every_session_is_taken_or_none_is_told() -> None:
    assert session_told(ENV, 4, "nowhere:1", embedded=True) == 4
    assert session_told({"GROUP": "{run}"}, 4, "nowhere:1", embedded=False) is None


class Admin:
    """A broker's answers to an administrator."""

    def __init__(self, told: dict[str, Any] | KafkaException) -> None:
        self.told = told

    def __call__(self, settings: Mapping[str, Any]) -> Admin:
        return self

    def list_topics(self, timeout: float) -> Any:
        return SimpleNamespace(brokers={7: None})

    def describe_configs(self, resources: list[Any], request_timeout: float) -> dict[Any, Future[dict[str, Any]]]:
        (node,) = resources
        assert node.name == "7"
        answer: Future[dict[str, Any]] = Future()
        if isinstance(self.told, KafkaException):
            answer.set_exception(self.told)
        else:
            answer.set_result(self.told)
        return {node: answer}


@pytest.mark.parametrize(
    ("told", "least"),
    [
        ({"group.min.session.timeout.ms": SimpleNamespace(value="1500")}, 1.5),
        ({"group.min.session.timeout.ms": SimpleNamespace(value=None)}, LEAST_S),
        ({}, LEAST_S),
        (REFUSED, LEAST_S),
    ],
    ids=["told", "hidden", "unknown", "refused"],
)
def test_of_a_broker_that_does_not_tell_kafkas_own_is_supposed(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, Any] | KafkaException, least: float
) -> None:
    monkeypatch.setattr(session, "AdminClient", Admin(told))
    assert least_session_s("h:1") == least


class Started:
    """A bench that remembers what it was to start."""

    watchdog = None

    def __init__(self, folder: Path, target: Target) -> None:
        self.folder = folder
        self.target = target
        self.events: dict[str, Mapping[str, Any]] = {}
        self.env: Mapping[str, str] = {}

    def scratch(self, name: str) -> Path:
        return self.folder / name

    def note(self, kind: str, **detail: Any) -> None:
        self.events[kind] = detail

    def start(self, target: Target, *, arm: int, essential: bool, env: Mapping[str, str]) -> Any:
        self.env = env
        return SimpleNamespace(facts=dict, pids=())

    def stop(self, arm: int) -> None:
        assert arm == 0


@pytest.mark.parametrize(("start", "told"), [(Start(command=("worker",)), 6.0), (None, None)], ids=["ours", "theirs"])
def test_a_worker_at_an_unconfigured_broker_is_told_six_seconds_by_the_quick_form(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, start: Start | None, told: float | None
) -> None:
    """Of workers that run already the report claims no session."""
    scenario = load_scenario("kafka-delivery", quick=True).model_dump()
    assert scenario["session_s"] < LEAST_S, "nothing is shown here otherwise"
    monkeypatch.setattr(brokers, "is_embedded", lambda _bootstrap: False)
    monkeypatch.setattr(session, "AdminClient", Admin(REFUSED))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        target = Target(name="stream", transport="kafka", url="kafka://{broker}", broker=address, start=start)
        bench: Any = Started(tmp_path, target)
        asked = {name: scenario[name] for name in ("keys", "env", "session_s")}
        with workers_of(bench, **asked, patience_s=1.0) as workers:
            workers.start()
    assert bench.env["PROOFLOAD_SESSION_TIMEOUT_S"] == ("6" if told else "{session_s}")
    assert bench.events["stream"]["session_s"] == told
