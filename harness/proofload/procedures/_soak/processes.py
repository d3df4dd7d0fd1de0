"""Threads that pile up because processes do: each process has one, and another remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from proofload.procedures._soak.growth import Course
from proofload.procedures._soak.signals import PILED, Readings, added
from proofload.records import Check, Status

LEAK = "process-leak"


def as_processes(checks: Sequence[Check], readings: Readings, course: Course) -> list[Check]:
    """The checks; where most of the threads that pile up are those of new processes, these are the cause, also of what
    is owed to the threads."""
    more = added(readings, course.start_ns, course.main.settled_s, course.main.end_s)
    threads = next((check for check in checks if check.name == "threads-growth"), None)
    grown = threads.observed if threads is not None and threads.status is Status.FAIL else None
    if grown is None or more < PILED * grown:
        return list(checks)
    told = f"they are those of new processes: {more:,.0f} more in that time"
    return [
        replace(check, cause=LEAK, evidence=f"{check.evidence}; {told}" if check is threads else check.evidence)
        if check.cause == "thread-leak"
        else check
        for check in checks
    ]
