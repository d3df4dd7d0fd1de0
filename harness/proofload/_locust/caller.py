"""One gevent user: what it owes, one request at a time, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from proofload._locust.calls import Ask
from proofload._locust.pacing import Swarm
from proofload.clock import NS_PER_S
from proofload.records import Outcome

if TYPE_CHECKING:
    from proofload._locust.users import UsersEngine

_RESTING_S = 0.05
_EXAMPLE_BYTES = 400


class Caller:
    """Locust asks `wait_s`, waits, and calls `turn`; `leave` at the end. Nothing is due while there is no swarm."""

    def __init__(self, engine: UsersEngine, number: int) -> None:
        self._engine = engine
        self._number = number
        self._swarm: Swarm | None = None
        self._due: Iterator[int] = iter(())
        self._next_ns = 0
        self._free_ns = 0
        """Since when it waits for no answer."""
        self._ask: Ask | None = None

    def wait_s(self) -> float:
        if self._swarm is None or self._engine.swarm is not self._swarm:
            return _RESTING_S
        return min(0.5, max(0.0, (self._next_ns - monotonic_ns()) / NS_PER_S))

    def turn(self) -> None:
        """Send what is due, if anything is."""
        engine = self._engine
        with engine.sending():  # from here on, the swarm waits for this user before it ends
            if engine.swarm is not self._swarm:
                self.leave()
                self._join(engine.swarm)
            now_ns = monotonic_ns()
            if self._swarm is not None and self._next_ns <= now_ns < self._swarm.end_ns:
                self._settle(self._swarm, now_ns)

    def leave(self) -> None:
        """It is stopped, or the load is over: what it still owed is recorded as never sent."""
        with self._engine.lock:
            swarm, self._swarm = self._swarm, None
            if swarm is None:
                return
            end_ns, rank = min(swarm.end_ns, monotonic_ns()), self._engine.callers.index(self)
            while self._next_ns < end_ns:
                if rank < swarm.users_at(self._next_ns):
                    self._owe(swarm, self._next_ns, held_up=self._free_ns > self._next_ns)
                self._next_ns = next(self._due)
            if self._engine.swarm is swarm:
                self._engine.callers.remove(self)

    def _join(self, swarm: Swarm | None) -> None:
        self._swarm, self._ask = swarm, None
        if swarm is not None:
            now_ns = monotonic_ns()
            self._due = swarm.due_times(self._number, now_ns)
            self._next_ns, self._free_ns = next(self._due), now_ns
            self._engine.callers.append(self)

    def _settle(self, swarm: Swarm, now_ns: int) -> None:
        due_ns, held_up = self._next_ns, self._free_ns > self._next_ns
        self._next_ns = next(self._due)
        if self._engine.callers.index(self) >= swarm.users_at(due_ns):
            return  # fewer are to send now, and this one rests
        if now_ns - due_ns >= self._engine.timeout_ns:  # nobody waits for it any more
            self._owe(swarm, due_ns, held_up=held_up)
        else:
            self._send(swarm, due_ns, held_up=held_up)

    def _owe(self, swarm: Swarm, due_ns: int, *, held_up: bool) -> None:
        self._engine.record(swarm.phase_at(due_ns), due_ns, held_up=held_up, payload=self._engine.payload())

    def _send(self, swarm: Swarm, due_ns: int, *, held_up: bool) -> None:
        engine = self._engine
        payload = engine.payload()
        answer = _Answer(engine, payload, due_ns)
        if self._ask is None:
            assert engine.calls is not None  # opened before anything is to be sent
            self._ask = engine.calls.user()
        dispatched_ns = monotonic_ns()
        try:
            self._ask(payload, (due_ns + engine.timeout_ns - dispatched_ns) / NS_PER_S, answer)
        except TimeoutError:
            answer.end(Outcome.TIMEOUT)
        finally:
            self._free_ns = monotonic_ns()
            if "done_ns" not in answer.columns:  # Locust stopped it in the midst of its request
                answer.failed(0, "run-ended")
            answer.judge()
            told = {"payload": payload, "dispatched_ns": dispatched_ns, **answer.columns}
            engine.record(swarm.phase_at(due_ns), due_ns, held_up=held_up, **told)


class _Answer:
    """The sink of one request: stamps and, once the answer is there, judges. See `proofload.transports.Sink`."""

    def __init__(self, engine: UsersEngine, payload: int, due_ns: int) -> None:
        self._engine = engine
        self._payload = payload
        self._due_ns = due_ns
        self._body: bytes | None = None
        self.columns: dict[str, Any] = {}

    def sent(self, row: int) -> None:  # noqa: ARG002  one request, one sink
        self.columns["sent_ns"] = monotonic_ns()

    def served_by(self, row: int, arm: int) -> None:
        """Nothing: there is one arm."""

    def answered(self, row: int, status: int, body: bytes) -> None:  # noqa: ARG002
        self.end(Outcome.OK, status)
        self.columns["bytes_in"] = len(body)
        self._body = body

    def shed(self, row: int, status: int) -> None:  # noqa: ARG002
        self.end(Outcome.SHED, status)

    def failed(self, row: int, kind: str, detail: str = "", status: int = -1) -> None:  # noqa: ARG002
        self.end(Outcome.ERROR, status)
        self.columns["error"] = self._engine.interned("error", kind)
        self._engine.example("error", kind, payload=self._payload, detail=detail[:_EXAMPLE_BYTES])

    def note(self, kind: str, **detail: Any) -> None:
        self._engine.example("note", kind, **detail)

    def tell(self, kind: str, **detail: Any) -> None:
        """Nothing: only streams tell."""

    def end(self, outcome: Outcome, status: int = -1) -> None:
        self.columns.update(done_ns=monotonic_ns(), outcome=int(outcome), status=status)

    def judge(self) -> None:
        if self._body is None:
            return
        judgement = self._engine.check.judge(self._payload, self._body)
        if judgement.version is not None:
            self.columns["version"] = self._engine.interned("version", judgement.version)
        if not judgement.correct:
            self.columns["outcome"] = int(Outcome.WRONG)
            self.columns["error"] = self._engine.interned("error", "wrong-answer")
            text = self._body[:_EXAMPLE_BYTES].decode("utf-8", "replace")
            self._engine.example("wrong", "wrong-answer", payload=self._payload, detail=judgement.why, body=text)
        elif self.columns["done_ns"] - self._due_ns > self._engine.deadline_ns:
            self.columns["outcome"] = int(Outcome.LATE)
