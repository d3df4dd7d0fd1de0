"""Inference that blocks the event loop makes everything else 10 to 20 times slower."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.goodput import ratio_of_means
from proofload.claims import Claim, Measured, Prediction
from proofload.claims.laboratory import Arm, Laboratory, Run, doubts
from proofload.claims.quantities import CONFIDENCE, UNKNOWN
from proofload.clock import NS_PER_S
from proofload.records import Interval

RATE_RPS = 16.0
"""Of a model that takes some 37 ms: a core that is busy for more than half of the time."""


def create() -> Claim:
    return Claim(
        number=5,
        name="blocking-loop",
        says="Inference on the event loop makes other requests 10–20 times slower (5 → 100 ms)",
        source="guides to serving with asyncio",
        predicts=Prediction("mean of a liveness check, inference on the loop ÷ off it", "×", 10.0, 20.0),
        how="FastAPI serves resnet50 at 16/s, with --inference inline and without; the lab's liveness probe asks "
        "four times a second for a page that needs no computing.",
        measure=measure,
    )


def measure(laboratory: Laboratory) -> Measured:
    inline = {"start.env.PROOFLOAD_INFERENCE": "inline"}
    runs = laboratory.in_turn(
        2,
        inline=Arm("fastapi", RATE_RPS, 6.5, model="resnet50", changes=inline, quick_s=8.0),
        offloaded=Arm("fastapi", RATE_RPS, 6.5, model="resnet50", quick_s=8.0),
    )
    on, off = looks_ms(runs["inline"]), looks_ms(runs["offloaded"])
    alpha = (1.0 - CONFIDENCE) / 2.0
    ratio = ratio_of_means(on, off, alpha_fail=alpha, alpha_pass=alpha)
    doubted = doubts(*runs.values())
    if ratio is None:
        return Measured(None, UNKNOWN, f"{len(on)} and {len(off)} looks are too few", doubted)
    told = f"/health/live, {len(on)} and {len(off)} looks: {on.mean():.3g} ms with inference on the loop"
    return Measured(ratio.value, Interval(ratio.low, ratio.high), f"{told}, {off.mean():.3g} ms off it", doubted)


def looks_ms(runs: Sequence[Run]) -> NDArray[np.float64]:
    """How long the liveness page took, each time it was asked for while the load lasted, over all lifetimes."""
    found = [np.zeros(0)]
    for run in runs:
        begin = run.phase.start_ns
        for (_, source, name), series in run.readings.items():
            if (source, name) == ("liveness", "ms"):
                inside = (series.t_ns >= begin) & (series.t_ns < begin + round(run.phase.duration_s * NS_PER_S))
                found.append(series.values[inside])
    return np.concatenate(found)
