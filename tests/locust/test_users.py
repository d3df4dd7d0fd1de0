"""Users who wait for their answers, in threads in place of Locust's greenlets: nothing they owe goes missing."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from proofload._locust import users as users_module
from proofload._locust.channel import Channel, Said
from proofload._locust.users import UsersEngine
from proofload.engine.schedule import PhasePlan
from proofload.engine.worker import ArmSpec
from proofload.records import SAMPLE_DTYPE, Outcome
from proofload.transports import Sink, TransportSpec

MS = 10**6
USERS = 4
PACE_S = 0.05
"""Between two requests of one user."""


class Answering:
    """Calls that are answered after so long, each seventh with a wrong prediction; see `proofload._locust.calls`."""

    def __init__(self, spec: TransportSpec, service_s: float) -> None:
        self._spec = spec
        self._service_s = service_s

    def open(self) -> None: ...

    def close(self) -> None: ...

    def decode(self, body: bytes) -> Any:
        return json.loads(body)

    def user(self) -> Any:
        def ask(payload: int, patience_s: float, sink: Sink) -> None:
            sink.sent(0)
            time.sleep(min(self._service_s, patience_s))
            if self._service_s >= patience_s:
                raise TimeoutError
            n = json.loads(self._spec.bodies[payload])["n"]
            sink.answered(0, 200, json.dumps({"prediction": 2 * n if n % 7 else -1}).encode())

        return ask


@contextmanager
def driven(engine: UsersEngine) -> Iterator[None]:
    """Locust's part: each user waits as long as it says, then takes its turn."""
    over = threading.Event()

    def live() -> None:
        caller = engine.caller()
        while not over.is_set():
            time.sleep(caller.wait_s())
            caller.turn()
        caller.leave()

    threads = [threading.Thread(target=live) for _ in range(USERS)]
    for thread in threads:
        thread.start()
    yield
    over.set()
    for thread in threads:
        thread.join()


def recorded(
    service_s: float, payloads: str, monkeypatch: pytest.MonkeyPatch, *, timeout_s: float = 5.0
) -> tuple[NDArray[np.void], dict[str, dict[str, Any]]]:
    """One second at the pace of PACE_S for each user: all samples, and the last event of each kind."""
    monkeypatch.setattr(users_module, "calls_for", lambda spec: Answering(spec, service_s))
    lab, theirs = (Channel(end) for end in socket.socketpair())
    engine = UsersEngine(theirs)
    serving = threading.Thread(target=engine.serve)
    serving.start()
    plan = PhasePlan(0, "load", "constant", USERS / PACE_S, 1.0, 3)
    spec = {"payloads": payloads, "timeout_s": timeout_s, "deadline_s": timeout_s, "users": USERS}
    rows: list[NDArray[np.void]] = []
    told: dict[str, dict[str, Any]] = {}
    with driven(engine):
        lab.send({"do": "begin", "spec": spec})
        lab.send({"do": "open", "arm": 0, "spec": asdict(ArmSpec("http", "http://h/"))})
        lab.send({"do": "phases", "phases": [asdict(plan)], "start_ns": time.monotonic_ns() + 50 * MS})
        while "idle" not in told:
            said = lab.receive()
            assert isinstance(said, Said)
            told[said.message["event"]] = said.message
            if said.message["event"] == "rows":
                rows.append(np.frombuffer(said.beside, SAMPLE_DTYPE))
    lab.close()
    serving.join()
    theirs.close()
    return np.concatenate(rows), told


def test_users_whose_answers_come_in_time_send_as_planned(payloads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, told = recorded(0.001, payloads, monkeypatch)
    assert told["idle"]["counts"] == {"0": len(rows)}
    assert np.array_equal(np.sort(rows["seq"]), np.arange(len(rows)))
    assert len(rows) == pytest.approx(USERS / PACE_S, abs=USERS), "each comes in at a random instant of its pace"
    sent = rows[rows["outcome"] != Outcome.UNSENT]
    wrong = sent["outcome"] == Outcome.WRONG
    assert np.array_equal(wrong, sent["payload"] % 7 == 0)
    assert set(sent["outcome"][~wrong]) == {Outcome.OK}
    assert np.all(sent["intended_ns"] <= sent["dispatched_ns"])
    assert np.all(sent["dispatched_ns"] <= sent["sent_ns"])
    assert told["closed-loop"]["of"] == len(rows)
    assert told["example"]["kind"] == "wrong-answer"


def test_users_who_are_held_up_send_late_or_never_and_it_is_counted(
    payloads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer takes two and a half times the pace: three requests of five fall behind, and cannot catch up."""
    rows, told = recorded(2.5 * PACE_S, payloads, monkeypatch)
    sent = rows[rows["outcome"] != Outcome.UNSENT]
    assert len(rows) == pytest.approx(USERS / PACE_S, abs=USERS), "what was planned does not depend on the answers"
    assert 0 < len(sent) < 0.6 * len(rows)
    assert told["idle"]["counts"] == {"0": len(rows)}
    assert told["closed-loop"]["held_up"] > 0.8 * len(rows)
    latency_ns = sent["done_ns"] - sent["intended_ns"]
    assert np.median(latency_ns) > 2 * np.median(sent["done_ns"] - sent["sent_ns"]), "waiting for its turn counts"


def test_an_answer_that_never_comes_is_a_timeout(payloads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = recorded(9.0, payloads, monkeypatch, timeout_s=0.2)
    timeouts = rows[rows["outcome"] == Outcome.TIMEOUT]
    assert len(timeouts) > 0
    assert set(rows["outcome"]) <= {Outcome.TIMEOUT, Outcome.UNSENT}
    assert np.all(timeouts["done_ns"] - timeouts["intended_ns"] >= 199 * MS)
