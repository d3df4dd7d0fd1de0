"""A good load generator keeps its schedule to a tenth of a millisecond."""

from __future__ import annotations

import numpy as np

from proofload.claims import Claim, Measured, Prediction
from proofload.claims.laboratory import Arm, Laboratory, doubts
from proofload.claims.quantities import lifetimes, over_lifetimes
from proofload.clock import NS_PER_MS
from proofload.report.numbers import short


def create() -> Claim:
    return Claim(
        number=12,
        name="schedule",
        says="At 1,000 requests/s a load generator can be 0.09 ms late on average (Nighthawk; wrk2 0.79, Fortio 1.97)",
        source="Envoy's comparison of load generators, for Nighthawk",
        predicts=Prediction("mean send lag of proofload's own engine at 1,000/s", "ms", None, 0.09),
        how="FastAPI serves the smallest model at 1,000/s, evenly spaced; when each request was due is compared with "
        "when the engine dispatched it.",
        measure=measure,
    )


def measure(laboratory: Laboratory) -> Measured:
    runs = laboratory.in_turn(engine=Arm("fastapi", 1000.0, 4.0, model="scorer", arrival="constant"))["engine"]
    lags = [run.samples.send_lag_ns[run.samples.table["dispatched_ns"] > 0] / NS_PER_MS for run in runs]
    every = np.concatenate(lags)
    detail = f"{len(every):,} requests in {lifetimes(runs)}"
    if len(every):
        detail += f"; p99 {short(np.quantile(every, 0.99))} ms, the worst {short(every.max())} ms"
    return over_lifetimes([float(lag.mean()) if len(lag) else None for lag in lags], detail, doubts(runs))
