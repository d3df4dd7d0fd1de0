"""The real cases of peak-10x. A heavy model, because only there is refusing cheaper than serving."""

from __future__ import annotations

from collections.abc import Sequence

from proofload.selftest import Case

SCENARIO = "peak-10x"
HEAVY = {"target.model": "resnet50"}
DEFECTS = (
    "unbounded-queue",
    "zombie-work",
    "block-event-loop",
    "full-queue-blocks",
    "oversubscribed-threads",
    "static-batching",
)
NAMED = {"block-event-loop": "blocked-event-loop"}
"""Where the cause is not called as its fault."""
STORM = {**HEAVY, "retry.attempts": 5, "retry.attempt_timeout_s": 0.3, "retry.backoff_s": 0.0}


def create() -> Sequence[Case]:
    defects = tuple(Case(SCENARIO, "fastapi", fault, (NAMED.get(fault, fault),), settings=HEAVY) for fault in DEFECTS)
    healthy = tuple(Case(SCENARIO, target, settings=HEAVY) for target in ("fastapi", "flask", "grpc"))
    storm = Case(
        SCENARIO,
        "fastapi",
        expect=("retry-storm",),
        settings=STORM,
        note="a healthy server whose clients give up a try before its queue is through, and try again at once",
    )
    return (*defects, storm, *healthy)
