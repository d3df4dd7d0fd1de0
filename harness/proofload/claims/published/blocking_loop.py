"""Inference that blocks the event loop makes everything else 10 to 20 times slower."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from proofload.analysis.percentiles import distribution
from proofload.claims import Claim, Measured, Prediction
from proofload.claims.laboratory import Arm, Laboratory, Run, doubts
from proofload.claims.quantities import ratio_of
from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.records import Quantile

RATE_RPS = 16.0
"""Of a model that takes some 37 ms: a core that is busy for more than half of the time."""


def create() -> Claim:
    return Claim(
        number=5,
        name="blocking-loop",
        says="Inference on the event loop makes other requests 10–20 times slower (5 → 100 ms)",
        source="guides to serving with asyncio",
        predicts=Prediction("p50 of a liveness check, inference on the loop ÷ off it", "×", 10.0, 20.0),
        how="FastAPI serves resnet50 at 16/s, with --inference inline and without; the lab's liveness probe asks "
        "four times a second and does not compute anything.",
        measure=measure,
    )


def measure(laboratory: Laboratory) -> Measured:
    inline = {"start.env.PROOFLOAD_INFERENCE": "inline"}
    runs = laboratory.in_turn(
        2,
        inline=Arm("fastapi", RATE_RPS, 6.0, model="resnet50", changes=inline, arrival="constant", quick_s=12.0),
        offloaded=Arm("fastapi", RATE_RPS, 6.0, model="resnet50", arrival="constant", quick_s=12.0),
    )
    on, off = _looks(runs["inline"]), _looks(runs["offloaded"])
    told = f"/health/live: {_ms(on)} with inference on the loop, {_ms(off)} off it"
    return ratio_of([on], [off], told, doubts(*runs.values()))


def _looks(runs: Sequence[Run]) -> Quantile:
    """The median over all lifetimes: a look every quarter of a second is too seldom for one each."""
    found = []
    for run in runs:
        begin = run.phase.start_ns
        for (_, source, name), series in run.readings.items():
            if (source, name) == ("liveness", "ms"):
                inside = (series.t_ns >= begin) & (series.t_ns < begin + round(run.phase.duration_s * NS_PER_S))
                found.append(series.values[inside])
    looks = np.concatenate(found) if found else np.zeros(0)
    return distribution(np.asarray(looks * NS_PER_MS, dtype=np.int64)).quantiles["p50"]


def _ms(quantile: Quantile) -> str:
    return "unknown" if quantile.value is None else f"{quantile.value:.3g} ms"
