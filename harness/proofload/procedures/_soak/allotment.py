"""The error rates of a soak's scenario, dealt out once over every check that can fail (Bonferroni)."""

from __future__ import annotations

SLO = 0.4
"""The SLO's part, which its limits share."""
RESOURCES = ("memory", "fds", "threads", "sockets", "disk", "gpu-memory")
OTHERS = (*(f"{name}-growth" for name in RESOURCES), "p50-creep", "p99-creep", "failures-growth")
"""Each has an equal part of the rest, whether a run has it or not."""


def each(alpha_fail: float) -> float:
    """What one of the other checks may use of the scenario's."""
    return (1.0 - SLO) * alpha_fail / len(OTHERS)
