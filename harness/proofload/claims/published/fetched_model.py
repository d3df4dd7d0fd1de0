"""A model on the server's disk starts sooner than one that is fetched from a store, but only a little."""

from __future__ import annotations

import numpy as np

from proofload.claims import Claim, Measured, Prediction
from proofload.claims._companions import store
from proofload.claims.laboratory import Arm, Laboratory
from proofload.claims.quantities import over_lifetimes, ratios
from proofload.clock import NS_PER_S
from proofload.discovery import module_for
from proofload.report.numbers import short
from proofload.resources import ensure_fixtures
from proofload.runtimes import Placement, Runtime
from proofload.target_model import Target

MODEL = "resnet50"
PAIRS = 6


def create() -> Claim:
    return Claim(
        number=10,
        name="fetched-model",
        says="A server whose model is baked in is ready in 17.6 s, one that loads 1 GB from object storage in 20.2 s "
        "(140 MB: 5.6 and 5.7 s)",
        source="a published comparison of cold starts with models in the image and in object storage",
        predicts=Prediction("time to ready, model fetched ÷ model on disk, 102 MB", "×", 1.0, 1.15),
        how="FastAPI is started with resnet50 on disk and fetched over HTTP from a store on this machine, in pairs of "
        "turned order. No network lies between them, so a real store can only be further away.",
        measure=measure,
    )


def measure(laboratory: Laboratory) -> Measured:
    folder = ensure_fixtures(MODEL, laboratory.progress.message)
    with store(folder.parent) as address:
        own = laboratory.target(Arm("fastapi", 1.0, 1.0, model=MODEL)).filled({"timeout_ms": "5000"})
        ways = [("disk", own), ("store", fetching(own, f"{address}/{MODEL}"))]
        times: dict[str, list[float]] = {"disk": [], "store": []}
        for pair in range(3 if laboratory.quick else PAIRS):
            for name, target in ways if pair % 2 == 0 else reversed(ways):
                laboratory.progress.message(f"{laboratory.folder.name}: start {pair + 1}, {name}")
                times[name].append(seconds_to_ready(target, laboratory))
    disk, fetched = (float(np.median(times[name])) for name in ("disk", "store"))
    detail = f"medians of {len(times['disk'])} starts each: {short(disk)} s from disk, {short(fetched)} s fetched"
    return over_lifetimes(ratios(times["store"], times["disk"]), detail)


def fetching(target: Target, address: str) -> Target:
    """The same server with its model at an address."""
    assert target.start is not None
    command = tuple(address if word == "{model}" else word for word in target.start.command)
    return target.model_copy(update={"start": target.start.model_copy(update={"command": command})})


def seconds_to_ready(target: Target, laboratory: Laboratory) -> float:
    """From the spawn to the readiness probe's yes, by the lab's own runtime."""
    runtime: Runtime = module_for("runtime", "process").create()
    with runtime.start(target, Placement(log_dir=laboratory.folder, device=laboratory.device)) as server:
        return (server.timeline["ready_ns"] - server.timeline["spawn_ns"]) / NS_PER_S
