"""The loop keeps each probe's rhythm, puts gaps on record, and stops when told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import pytest

from proofload.clock import NS_PER_S
from proofload.errors import TargetError
from proofload.probes._loop import GAP, RESUMED, ProbeLoop, Turn
from proofload.records import Event, Reading


class Clock:
    """Moves only when told."""

    def __init__(self) -> None:
        self.ns = 0

    def now_ns(self) -> int:
        return self.ns

    def sleep(self, seconds: float) -> None:
        self.ns += round(seconds * NS_PER_S)


class Scripted:
    """Does what it is told at each reading; the last one for ever."""

    interval_s = 0.5

    def __init__(self, *script: Callable[[], Iterable[Reading]]) -> None:
        self.script = list(script)
        self.closed = 0

    def read(self) -> Iterable[Reading]:
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return step()

    def close(self) -> None:
        self.closed += 1


def good() -> Iterable[Reading]:
    return [Reading(0, "s", "n", 1.0)]


def gone() -> Iterable[Reading]:
    raise ProcessLookupError("process 7 is gone")


def unreadable() -> Iterable[Reading]:
    raise TargetError("the metrics cannot be read", evidence="it answered 503")


def broken() -> Iterable[Reading]:
    raise KeyError("oops")


def lazily_broken() -> Iterable[Reading]:
    yield Reading(0, "s", "n", 1.0)
    raise OSError("cut off")


def test_readings_stay_on_the_grid_and_missed_instants_are_left_out() -> None:
    clock = Clock()
    slow = iter([0.1, 0.1, 1.7, 0.1])

    def read() -> Iterable[Reading]:
        clock.sleep(next(slow))
        return good()

    turn, due = Turn("p", Scripted(read), 0), []
    for _ in range(4):
        clock.ns = max(clock.ns, turn.due_ns)
        turn.take(clock)
        due.append(turn.due_ns / NS_PER_S)
    assert due == [0.5, 1.0, 3.0, 3.5]


def test_a_gap_is_one_event_at_its_beginning_and_one_at_its_end_with_no_values_between() -> None:
    clock = Clock()
    turn = Turn("process", Scripted(good, gone, unreadable, broken, good, good), 0)
    events: list[Event | None] = []
    counts = []
    for _ in range(6):
        clock.ns = turn.due_ns
        readings, event = turn.take(clock)
        events.append(event)
        counts.append(len(readings))
    assert counts == [1, 0, 0, 0, 1, 1]
    begin, end = events[1], events[4]
    assert begin is not None
    assert end is not None
    assert begin.kind == GAP
    assert begin.detail == {"probe": "process", "reason": "process 7 is gone"}
    assert end.kind == RESUMED
    assert end.detail == {"probe": "process", "missed": 3, "gap_s": 1.5}
    assert [events[i] for i in (0, 2, 3, 5)] == [None] * 4


def test_a_reading_that_breaks_half_way_counts_for_nothing() -> None:
    readings, event = Turn("p", Scripted(lazily_broken), 0).take(Clock())
    assert readings == []
    assert event is not None
    assert "cut off" in event.detail["reason"]


def test_an_error_nobody_foresaw_is_named_with_its_type() -> None:
    _, event = Turn("p", Scripted(broken), 0).take(Clock())
    assert event is not None
    assert "KeyError" in event.detail["reason"]


def test_a_probe_that_hangs_delays_no_other_and_records_nothing_after_the_end() -> None:
    release, enough = threading.Event(), threading.Event()
    seen: list[Reading] = []

    def hang() -> Iterable[Reading]:
        release.wait(60)
        return [Reading(0, "hung", "n", 1.0)]

    def record(readings: list[Reading]) -> None:
        seen.extend(readings)
        if len(seen) >= 3:
            enough.set()

    quick, hung = Scripted(good), Scripted(hang)
    quick.interval_s = 0.001
    with ProbeLoop([("hung", hung), ("quick", quick)], record, lambda _: None) as loop:
        assert enough.wait(60)
        loop.halt()
        release.set()
    assert {reading.source for reading in seen} == {"s"}
    assert quick.closed == hung.closed == 1


def test_leaving_does_not_wait_for_the_next_turn() -> None:
    slow = Scripted(good)
    slow.interval_s = 3600
    once = threading.Event()
    with ProbeLoop([("slow", slow)], lambda _: once.set(), lambda _: None):
        assert once.wait(60)
    assert slow.closed == 1


def test_a_record_that_fails_is_raised_where_the_block_is_left() -> None:
    failed = threading.Event()

    def full(readings: list[Reading]) -> None:
        failed.set()
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"), ProbeLoop([("p", Scripted(good))], full, lambda _: None):
        assert failed.wait(60)


def test_gaps_reach_the_event_callback() -> None:
    told = threading.Event()
    events: list[Event] = []

    def announce(event: Event) -> None:
        events.append(event)
        told.set()

    with ProbeLoop([("p", Scripted(gone))], lambda _: None, announce):
        assert told.wait(60)
    assert events[0].kind == GAP
