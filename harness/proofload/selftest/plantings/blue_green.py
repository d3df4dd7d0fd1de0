"""The real cases of blue-green: harm takes the traffic back. A better version and the same one pass."""

from __future__ import annotations

from collections.abc import Sequence

from proofload.selftest import Case
from proofload.selftest.plantings._second_versions import second_versions

NAMED = {"errors": "canary-errors", "wrong-predictions": "wrong-predictions", "slow-tail": "canary-slow-tail"}


def create() -> Sequence[Case]:
    return second_versions("blue-green", NAMED)
