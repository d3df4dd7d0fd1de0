"""The real cases of blue-green: harm takes the traffic back. A better version and the same one pass."""

from __future__ import annotations

from collections.abc import Sequence

from proofload.selftest import Case

SCENARIO = "blue-green"
NAMED = {
    "errors": "canary-errors",
    "wrong-predictions": "wrong-predictions",
    "slow-tail": "canary-slow-tail",
}
"""Faults of the second version, and the cause that each is told by."""
CONTROLS = ("faster",)


def create() -> Planted:
    return Planted()


class Planted:
    @property
    def cases(self) -> Sequence[Case]:
        defects = tuple(Case(SCENARIO, "fastapi", fault, (cause,)) for fault, cause in NAMED.items())
        controls = tuple(Case(SCENARIO, "fastapi", fault, note="a better version") for fault in CONTROLS)
        healthy = tuple(Case(SCENARIO, target) for target in ("fastapi", "flask", "grpc"))
        return (*defects, *controls, *healthy)
