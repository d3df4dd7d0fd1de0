"""The real cases of skew: one fault each, the control whose last digits differ, and healthy servers."""

from __future__ import annotations

from collections.abc import Sequence

from proofload.selftest import Case

SCENARIO = "skew"
NAMED = {
    "unit": "unit",
    "timezone": "timezone",
    "null-as-zero": "null-handling",
    "category-encoding": "category-encoding",
    "rounding": "rounding",
    "stale-features": "staleness",
    "cache-key-collision": "cache-key-collision",
    "cross-talk": "cross-talk",
}
"""Each fault, and what it is called when it is found."""


def create() -> Sequence[Case]:
    defects = tuple(Case(SCENARIO, "fastapi", fault, (cause,)) for fault, cause in NAMED.items())
    noise = Case(SCENARIO, "fastapi", "float-noise", note="control: float noise within tolerance")
    healthy = tuple(Case(SCENARIO, target) for target in ("fastapi", "flask", "grpc", "kafka"))
    return (*defects, noise, *healthy)
