"""A cache in Redis answers 100 to 1,000 times as fast as the model."""

from __future__ import annotations

from pathlib import Path

from proofload.claims import Claim, Measured, Prediction
from proofload.claims._companions import redis_or_none
from proofload.claims.laboratory import Arm, Laboratory
from proofload.claims.quantities import latency_ratio
from proofload.claims.ruling import Ruling, of_stand_in
from proofload.resources import ensure_fixtures

PREDICTS = Prediction("p50 computed ÷ p50 found in the cache, ResNet-50", "×", 100.0, 1000.0)


def create() -> Claim:
    return Claim(
        number=9,
        name="cache-hit",
        says="A cache in Redis answers repeated requests 100–1,000 times as fast",
        source="guides to caching predictions",
        predicts=PREDICTS,
        how="FastAPI gets one and the same image ten times a second, without a cache and with one: in a Redis of its "
        "own. Where redis-server is not installed, memory stands in for it: nearer than any Redis, so that only less "
        "than is said counts then.",
        measure=measure,
    )


def measure(laboratory: Laboratory) -> Measured:
    payloads = _one_image(laboratory)
    with redis_or_none() as redis:
        cached = {"start.env.PROOFLOAD_CACHE": f"redis://127.0.0.1:{redis.port}" if redis else "memory"}
        runs = laboratory.in_turn(
            computed=Arm("fastapi", 10.0, 5.5, model="resnet50", payloads=payloads, arrival="constant"),
            found=Arm("fastapi", 10.0, 5.5, model="resnet50", payloads=payloads, changes=cached, arrival="constant"),
        )
    where = "Redis" if redis else "memory (there is no redis-server)"
    told = f"resnet50 at 10/s: computed {{}}, found in {where} {{}}"
    found = latency_ratio(runs["computed"], runs["found"], told)
    return found if redis else of_stand_in(PREDICTS, found, but=Ruling.LESS)


def _one_image(laboratory: Laboratory) -> Path:
    """A payload file with the first of the model's images alone."""
    source = ensure_fixtures("resnet50", laboratory.progress.message) / "payloads.jsonl"
    with source.open(encoding="utf-8") as file:
        first = file.readline()
    path = laboratory.folder / "one-image.jsonl"
    path.write_text(first, encoding="utf-8")
    return path
