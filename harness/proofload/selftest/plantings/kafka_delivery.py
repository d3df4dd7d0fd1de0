"""The real cases of kafka-delivery."""

from __future__ import annotations

from collections.abc import Sequence

from proofload.selftest import Case

SCENARIO = "kafka-delivery"
TARGET = "kafka"
EXACTLY_ONCE = {"guarantee": "exactly-once"}


def create() -> Sequence[Case]:
    return (
        Case(SCENARIO, TARGET, "commit-before-work", ("lost-messages",)),
        Case(SCENARIO, TARGET, "redelivery-on-rebalance", ("duplicated-messages",)),
        Case(SCENARIO, TARGET, "reordering", ("reordered-messages",)),
        Case(
            SCENARIO,
            TARGET,
            expect=("duplicated-messages",),
            settings=EXACTLY_ONCE,
            note="a healthy worker that answers at least once, held to exactly once",
        ),
        Case(SCENARIO, TARGET),
        Case(
            SCENARIO,
            TARGET,
            "idempotent-redelivery",
            settings=EXACTLY_ONCE,
            note="messages are read again, and their second answers suppressed",
        ),
    )
