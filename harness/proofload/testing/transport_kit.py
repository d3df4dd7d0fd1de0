"""What every transport must do, whatever it speaks: a conformance kit for tests.

    KIT = TransportKit("mine", create, peer=start_peer, is_answer=lambda decoded, payload: ...)

    @pytest.mark.parametrize("check", checks_for(KIT), ids=lambda check: check.__name__)
    def test_conformance(check): asyncio.run(check(KIT))

`peer(behaviour)` starts a peer that behaves so and gives the TransportSpec that reaches it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self

from proofload.transports import Sink, Transport, TransportSpec

PATIENCE_S = 20.0
"""Only a test that hangs reaches this."""

SHED_ROWS = 6
"""Rows sent to a peer that sheds. A peer on a stream may wait for all of them before it refuses."""


class Behaviour(StrEnum):
    """How a peer may behave. A kit leaves out what its protocol cannot express."""

    ANSWERS = "answers each request rightly"
    REFUSES = "nothing listens"
    HANGS = "takes requests and never answers"
    CLOSES = "accepts a connection and closes it at once"
    GARBAGE = "answers with bytes that are not the protocol"
    DIES = "takes a request, then resets the connection"
    SHEDS = "refuses on purpose, in the protocol's words"


@dataclass(frozen=True, slots=True)
class Ending:
    """What a sink was told of a row: "answered", "shed" or "failed"."""

    what: str
    status: int = -1
    body: bytes = b""
    kind: str = ""
    detail: str = ""


@dataclass(slots=True)
class RecordingSink:
    """A Sink that keeps what it is told, and what no transport may tell it."""

    endings: dict[int, Ending] = field(default_factory=dict)
    sent_rows: list[int] = field(default_factory=list)
    notes: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    abandoned: set[int] = field(default_factory=set)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def sent(self, row: int) -> None:
        if row in self.abandoned:
            return
        if row in self.sent_rows:
            self.violations.append(f"row {row} was sent twice")
        if row in self.endings:
            self.violations.append(f"row {row} was sent after it had ended")
        self.sent_rows.append(row)
        self._changed.set()

    def served_by(self, row: int, arm: int) -> None: ...

    def answered(self, row: int, status: int, body: bytes) -> None:
        if row not in self.sent_rows and row not in self.abandoned:
            self.violations.append(f"row {row} was answered before it was sent")
        self._end(row, Ending("answered", status, bytes(body)))

    def shed(self, row: int, status: int) -> None:
        self._end(row, Ending("shed", status))

    def failed(self, row: int, kind: str, detail: str = "", status: int = -1) -> None:
        self._end(row, Ending("failed", status, kind=kind, detail=detail))

    def note(self, kind: str, **detail: Any) -> None:
        self.notes.append((kind, MappingProxyType(detail)))

    def tell(self, kind: str, **detail: Any) -> None:
        self.note(kind, **detail)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns when the condition holds after something was told. Raises TimeoutError, never in a good run."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def ended(self, rows: Iterable[int]) -> None:
        """Returns when all these rows have ended."""
        wanted = set(rows)
        await self.until(lambda: wanted <= self.endings.keys())

    def _end(self, row: int, ending: Ending) -> None:
        if row in self.abandoned:
            return
        if row in self.endings:
            self.violations.append(f"row {row} ended twice: {self.endings[row]}, then {ending}")
            return
        self.endings[row] = ending
        self._changed.set()


@dataclass(frozen=True, slots=True)
class TransportKit:
    """One transport under test. `is_answer(decoded, payload)`: is this the right answer to that payload?"""

    name: str
    create: Callable[[TransportSpec, Sink], Transport]
    peer: Callable[[Behaviour], AbstractAsyncContextManager[TransportSpec]]
    is_answer: Callable[[Any, int], bool]
    behaviours: frozenset[Behaviour] = frozenset(Behaviour)


Check = Callable[[TransportKit], Awaitable[None]]


def checks_for(kit: TransportKit) -> list[Check]:
    """The checks whose peer this kit can start."""
    return [check for behaviour, check in _CHECKS if behaviour in kit.behaviours]


class _Session:
    """An open transport with its sink; leaving it closes and looks for what must never happen."""

    def __init__(self, kit: TransportKit, spec: TransportSpec) -> None:
        self.sink = RecordingSink()
        self.spec = spec
        self.transport = kit.create(spec, self.sink)

    async def __aenter__(self) -> Self:
        async with asyncio.timeout(PATIENCE_S):
            await self.transport.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self.transport.close()
        if exc[0] is None:
            assert not self.sink.violations, self.sink.violations

    def send(self, count: int, first: int = 0) -> range:
        rows = range(first, first + count)
        for row in rows:
            self.transport.send(row, row % len(self.spec.bodies))
        return rows

    def abandon(self, row: int) -> None:
        self.sink.abandoned.add(row)
        self.transport.abandon(row)


async def every_row_is_answered_once_with_its_own_answer(kit: TransportKit) -> None:
    async with kit.peer(Behaviour.ANSWERS) as spec, _Session(kit, spec) as session:
        rows = session.send(300)
        await session.sink.ended(rows)
        for row in rows:
            ending = session.sink.endings[row]
            assert ending.what == "answered", (row, ending)
            assert kit.is_answer(session.transport.decode(ending.body), row % len(spec.bodies)), row


async def an_abandoned_row_leaves_the_others_their_own_answers(kit: TransportKit) -> None:
    async with kit.peer(Behaviour.ANSWERS) as spec, _Session(kit, spec) as session:
        rows = session.send(120)
        for row in rows[::3]:
            session.abandon(row)
        kept = [row for row in rows if row % 3]
        await session.sink.ended(kept)
        more = session.send(60, first=len(rows))
        await session.sink.ended(more)
        for row in [*kept, *more]:
            ending = session.sink.endings[row]
            assert ending.what == "answered", (row, ending)
            assert kit.is_answer(session.transport.decode(ending.body), row % len(spec.bodies)), row


async def nonsense_does_not_decode(kit: TransportKit) -> None:
    async with kit.peer(Behaviour.ANSWERS) as spec, _Session(kit, spec) as session:
        try:
            session.transport.decode(b"\xff\xfe\x00 no answer of anything")
        except ValueError:
            return
        raise AssertionError("decode must raise ValueError")


async def closing_ends_what_is_in_flight_and_may_be_repeated(kit: TransportKit) -> None:
    async with kit.peer(Behaviour.ANSWERS) as spec:
        session = _Session(kit, spec)
        await session.transport.close()  # before it was ever opened
        async with session:
            await session.sink.ended(session.send(2))
            session.send(20, first=2)
            await session.transport.close()
            await session.transport.close()
            endings = session.sink.endings.values()
            assert {ending.what for ending in endings} <= {"answered", "failed"}


async def a_refused_port_fails_each_row(kit: TransportKit) -> None:
    async with kit.peer(Behaviour.REFUSES) as spec, _Session(kit, spec) as session:
        await _all_fail(session, session.send(5))
        await _all_fail(session, session.send(5, first=5))


async def a_hanging_peer_says_nothing_until_the_row_is_abandoned(kit: TransportKit) -> None:
    async with kit.peer(Behaviour.HANGS) as spec, _Session(kit, spec) as session:
        rows = session.send(4)
        await session.sink.until(lambda: set(rows) <= set(session.sink.sent_rows))
        assert not session.sink.endings
        for row in rows:
            session.abandon(row)
        assert not session.sink.endings


async def a_peer_that_closes_at_once_fails_each_row(kit: TransportKit) -> None:
    async with kit.peer(Behaviour.CLOSES) as spec, _Session(kit, spec) as session:
        await _all_fail(session, session.send(5))
        await _all_fail(session, session.send(5, first=5))


async def garbage_fails_the_row_and_not_the_run(kit: TransportKit) -> None:
    async with kit.peer(Behaviour.GARBAGE) as spec, _Session(kit, spec) as session:
        await _all_fail(session, session.send(3))
        await _all_fail(session, session.send(3, first=3))


async def a_connection_that_dies_in_flight_is_a_failure_and_not_a_refusal(kit: TransportKit) -> None:
    async with kit.peer(Behaviour.DIES) as spec, _Session(kit, spec) as session:
        await _all_fail(session, session.send(4))


async def a_refusal_by_the_peer_is_shed(kit: TransportKit) -> None:
    async with kit.peer(Behaviour.SHEDS) as spec, _Session(kit, spec) as session:
        rows = session.send(SHED_ROWS)
        await session.sink.ended(rows)
        for row in rows:
            ending = session.sink.endings[row]
            assert ending.what == "shed", ending
            assert ending.status > 0, ending


async def _all_fail(session: _Session, rows: range) -> None:
    await session.sink.ended(rows)
    for row in rows:
        ending = session.sink.endings[row]
        assert ending.what == "failed", ending
        assert ending.status == -1, f"no peer sent a status: {ending}"
        assert ending.kind, ending


_CHECKS: tuple[tuple[Behaviour, Check], ...] = (
    (Behaviour.ANSWERS, every_row_is_answered_once_with_its_own_answer),
    (Behaviour.ANSWERS, an_abandoned_row_leaves_the_others_their_own_answers),
    (Behaviour.ANSWERS, nonsense_does_not_decode),
    (Behaviour.ANSWERS, closing_ends_what_is_in_flight_and_may_be_repeated),
    (Behaviour.REFUSES, a_refused_port_fails_each_row),
    (Behaviour.HANGS, a_hanging_peer_says_nothing_until_the_row_is_abandoned),
    (Behaviour.CLOSES, a_peer_that_closes_at_once_fails_each_row),
    (Behaviour.GARBAGE, garbage_fails_the_row_and_not_the_run),
    (Behaviour.DIES, a_connection_that_dies_in_flight_is_a_failure_and_not_a_refusal),
    (Behaviour.SHEDS, a_refusal_by_the_peer_is_shed),
)
