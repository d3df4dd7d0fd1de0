"""The real cases of cold-start."""

from __future__ import annotations

from collections.abc import Sequence

from proofload.selftest import Case

SCENARIO = "cold-start"
DEFECTS = {
    "ready-before-load": "false-ready",
    "lazy-load-per-worker": "lazy-load",
    "no-warmup": "no-warm-up",
    "slow-load": "slow-load",
}
"""The cause that each must be given."""
HONEST = "slow-but-honest"


def create() -> Sequence[Case]:
    defects = tuple(Case(SCENARIO, "fastapi", fault, (cause,)) for fault, cause in DEFECTS.items())
    control = Case(SCENARIO, "fastapi", HONEST, note="takes its time, says so, and is warm when it says ready")
    healthy = tuple(Case(SCENARIO, target) for target in ("fastapi", "flask", "grpc"))
    return (*defects, control, *healthy)
