"""Gevent users as an engine: they take the orders that engine processes take, and give samples like theirs.

A user sends, waits for its answer, and sends again when its next request is due by its own pace (`pacing.py`). A
request that falls due while its user still waits is late, or is never sent; both are recorded as what they are, and
counted as held up, so that the report can say what the closed loop did to the load.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic_ns
from typing import Any

import numpy as np

from proofload._locust.caller import Caller
from proofload._locust.calls import Calls, calls_for
from proofload._locust.channel import Channel
from proofload._locust.pacing import Swarm
from proofload._locust.self_watch import SelfWatch
from proofload.clock import NS_PER_S
from proofload.engine.answers import AnswerCheck
from proofload.engine.worker import ArmSpec, answer_check, own_headers
from proofload.errors import InputError, ProofloadError
from proofload.placeholders import looked_up
from proofload.records import SAMPLE_DTYPE
from proofload.transports import TransportSpec
from proofload.workloads.payloads import Payloads, load_payloads

_BEAT_S = 0.02
_AHEAD_NS = NS_PER_S * 3 // 2
_EXAMPLES = 5


class UsersEngine:
    """All gevent users of this process. `serve` hears the lab's orders."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._rows: list[tuple[Any, ...]] = []
        self._names: dict[tuple[str, str], int] = {}
        self._examples: Counter[str] = Counter()
        self._number = 0
        self._seq: Counter[int] = Counter()
        self._held_up: Counter[int] = Counter()
        self.swarm: Swarm | None = None
        """What is to be sent now; None: nothing."""
        self.callers: list[Caller] = []
        """In order of their coming: when fewer are to send, the last ones rest."""
        self.calls: Calls | None = None
        self.lock = threading.RLock()
        self._in_flight = 0

    @contextmanager
    def sending(self) -> Iterator[None]:
        """While a user is at it."""
        with self.lock:
            self._in_flight += 1
        try:
            yield
        finally:
            with self.lock:
                self._in_flight -= 1

    def wanted(self, before: int) -> int:
        """How many users there are to be; `before` anything is to be sent, so many, who rest.

        Locust asks once a second and takes a while to start them: it is told what the next moment needs, and those
        who are early rest (see `Swarm.users_at`).
        """
        if self.swarm is None:
            return before
        now_ns = monotonic_ns()
        return max(self.swarm.users_at(now_ns), self.swarm.users_at(now_ns + _AHEAD_NS))

    def caller(self) -> Caller:
        self._number += 1
        return Caller(self, self._number)

    # The lab's orders.

    def serve(self) -> None:
        """Until the lab hangs up."""
        while (said := self._channel.receive()) is not None:
            try:
                self._obey(said.message)
            except ProofloadError as exc:
                told = {"what": exc.what, "evidence": exc.evidence, "cause": exc.cause, "remedy": exc.remedy}
                self._channel.send({"event": "failed", "type": type(exc).__name__, **told})

    def _obey(self, message: Mapping[str, Any]) -> None:
        match message["do"]:
            case "begin":
                self._begin(message["spec"])
                self._channel.send({"event": "began"})
            case "open":
                self._open(message["arm"], ArmSpec(**message["spec"]))
                self._channel.send({"event": "opened", "arm": message["arm"]})
            case "phases":
                swarm = Swarm.of(message["phases"], message["start_ns"], users=self._users)
                self._draw = np.random.default_rng([message["phases"][0]["seed"], 1])
                self.swarm = swarm
                threading.Thread(target=self._drive, args=(swarm,), name="swarm", daemon=True).start()
            case "cut":
                if self.swarm is not None:
                    self.swarm.end_ns = min(self.swarm.end_ns, monotonic_ns())
            case _:
                raise InputError(
                    "gevent users drive one target, without shares", remedy="let the engine send for this scenario"
                )

    def _begin(self, spec: Mapping[str, Any]) -> None:
        self.timeout_ns = round(spec["timeout_s"] * NS_PER_S)
        self.deadline_ns = round(spec["deadline_s"] * NS_PER_S)
        self._users = int(spec["users"])
        self.payloads: Payloads = load_payloads(spec["payloads"])
        self._names.clear()
        self._seq.clear()
        self._held_up.clear()
        self._examples.clear()

    def _open(self, arm: int, spec: ArmSpec) -> None:
        if arm:
            raise InputError("gevent users drive one target", remedy="let the engine send for this scenario")
        headers = {
            name: looked_up(value, owner="the target", key=f"request.headers.{name}")
            for name, value in spec.headers.items()
        }
        if self.calls is not None:
            self.calls.close()
        self.calls = calls_for(
            TransportSpec(
                name=spec.transport,
                url=spec.url,
                bodies=self.payloads.bodies,
                headers=headers,
                payload_headers=own_headers(self.payloads, spec.request.get("user_header")),
                timeout_s=self.timeout_ns / NS_PER_S,
                request=spec.request,
                response=spec.response,
            )
        )
        self.calls.open()
        self.check: AnswerCheck = answer_check(self.calls.decode, self.payloads, spec.response)

    def _drive(self, swarm: Swarm) -> None:
        """Let the users work, and send home what they did."""
        watch = SelfWatch()
        while (left_ns := swarm.end_ns - monotonic_ns()) > 0 or self._in_flight:
            time.sleep(min(_BEAT_S, max(0.005, left_ns / NS_PER_S)))
            if (health := watch.beat()) is not None:
                self._channel.send({"event": "health", "worker": 0, **health})
                self._flush()
        self.swarm = None
        for caller in self.callers:
            caller.leave()
        self.callers.clear()
        self._flush()
        for phase in swarm.phases:
            told = {"phase": phase, "users": swarm.most_users, "held_up": self._held_up[phase], "of": self._seq[phase]}
            self._channel.send({"event": "closed-loop", "t_ns": monotonic_ns(), **told})
        self._channel.send({"event": "idle", "counts": {str(phase): count for phase, count in self._seq.items()}})

    # What users report.

    def payload(self) -> int:
        """The number of one, drawn at random."""
        return int(self._draw.integers(0, len(self.payloads)))

    def record(self, phase: int, due_ns: int, *, held_up: bool, **columns: Any) -> None:
        with self.lock:
            self._held_up[phase] += held_up
            self._rows.append((self._seq[phase], due_ns, phase, columns))
            self._seq[phase] += 1

    def interned(self, kind: str, text: str) -> int:
        key = (kind, text[:120])
        with self.lock:
            if key not in self._names:
                self._names[key] = len(self._names) + 1
                self._channel.send({"event": "name", "of": kind, "text": key[1]})
            return self._names[key]

    def example(self, what: str, kind: str, **detail: Any) -> None:
        self._examples[kind] += 1
        if self._examples[kind] <= _EXAMPLES:
            told = {"worker": 0, "what": what, "kind": kind, **detail}
            self._channel.send({"event": "example", "t_ns": monotonic_ns(), **told})

    def _flush(self) -> None:
        with self.lock:
            taken, self._rows = self._rows, []
        if not taken:
            return
        rows = np.zeros(len(taken), SAMPLE_DTYPE)
        rows["status"], rows["attempts"], rows["score"] = -1, 1, np.nan
        for index, (seq, due_ns, phase, columns) in enumerate(taken):
            row = rows[index]
            row["seq"], row["intended_ns"], row["phase"] = seq, due_ns, phase
            for name, value in columns.items():
                row[name] = value
        rows = rows[np.argsort(rows["intended_ns"], kind="stable")]
        self._channel.send({"event": "rows"}, rows.tobytes())
