"""Inference that blocks the event loop makes everything else 10 to 20 times slower."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from proofload.claims import Claim, Measured, Prediction
from proofload.claims.laboratory import Arm, Laboratory, Run, doubts
from proofload.claims.quantities import lifetimes, over_lifetimes, ratios
from proofload.clock import NS_PER_S
from proofload.report.numbers import short

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
        inline=Arm("fastapi", RATE_RPS, 6.0, model="resnet50", changes=inline, quick_s=5.0),
        offloaded=Arm("fastapi", RATE_RPS, 6.0, model="resnet50", quick_s=5.0),
    )
    on, off = ([looks_ms(run) for run in runs[name]] for name in ("inline", "offloaded"))
    told = f"/health/live, {_seen(on)} with inference on the loop, {_seen(off)} off it"
    told += f", in {lifetimes(runs['inline'])} each"
    means = ([float(looks.mean()) if len(looks) else None for looks in arm] for arm in (on, off))
    return over_lifetimes(ratios(*means), told, doubts(*runs.values()))


def looks_ms(run: Run) -> NDArray[np.float64]:
    """How long the liveness page took, each time it was asked for while the load lasted."""
    found = [np.zeros(0)]
    begin = run.phase.start_ns
    for (_, source, name), series in run.readings.items():
        if (source, name) == ("liveness", "ms"):
            inside = (series.t_ns >= begin) & (series.t_ns < begin + round(run.phase.duration_s * NS_PER_S))
            found.append(series.values[inside])
    return np.concatenate(found)


def _seen(arm: Sequence[NDArray[np.float64]]) -> str:
    every = np.concatenate(arm)
    return f"{short(every.mean())} ms in {len(every)} looks" if len(every) else "no look"
