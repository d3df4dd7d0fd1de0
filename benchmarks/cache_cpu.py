"""CPU per request in the serving core alone, one request at a time: computed, known in memory, known to a Redis.

    python benchmarks/cache_cpu.py

No HTTP, no batching, no client: what remains is validation, features, key, look-up, queue and model. It is the CPU time
of this process, all threads of it, so that other work on the machine changes it little. The least of several turns
counts. What Redis itself spends is not in it.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from proofload.resources import ensure_fixtures
from proofload_servers.serving import Service, Settings
from redis_server import MISSING, Redis, redis_running
from tables import show

MODELS = {"scorer": (200, 15), "fraud": (200, 15), "resnet50": (8, 3)}
"""Requests of a turn, and turns."""
WAIT_S = 120.0


def show_cpu(redis: Redis | None) -> None:
    """Prints the table."""
    rows = []
    for model in MODELS:
        none = _cpu_us(model, "none")
        memory = _cpu_us(model, "memory")
        shared = _cpu_us(model, redis.url) if redis is not None else None
        told = [f"{none:,.0f}", f"{memory:,.0f}", f"{shared:,.0f}" if shared else ""]
        rows.append([model, *told, f"{memory / none:.3g}", f"{shared / none:.3g}" if shared else ""])
    show(
        "CPU of the serving core for one request, in µs",
        ["model", "computed", "known in memory", "known to Redis", "memory ÷ computed", "Redis ÷ computed"],
        rows,
        [] if redis is not None else [MISSING],
    )


def _cpu_us(model: str, cache: str) -> float:
    number, turns = MODELS[model]
    folder = ensure_fixtures(model)
    lines = (folder / "payloads.jsonl").read_text(encoding="utf-8").splitlines()[:number]
    bodies = [json.loads(line)["body"] for line in lines]
    service = Service.start(Settings(model=str(folder), cache=cache, cache_budget_ms=WAIT_S * 1e3, max_wait_ms=0.0))
    try:
        service.wait_ready(WAIT_S)
        _all(service.submit, bodies)
        time.sleep(0.5)  # Redis is told after the answer
        return min(_turn(service.submit, bodies) for _ in range(turns)) / number * 1e6
    finally:
        service.drain(WAIT_S)


def _turn(submit: Callable[..., Any], bodies: Sequence[Any]) -> float:
    began_s = time.process_time()
    _all(submit, bodies)
    return time.process_time() - began_s


def _all(submit: Callable[..., Any], bodies: Sequence[Any]) -> None:
    for body in bodies:
        submit(body, deadline_ns=None, request_id="benchmark").result(WAIT_S)


def main() -> int:
    logging.disable(logging.WARNING)
    with redis_running() as redis:
        show_cpu(redis)
    return 0


if __name__ == "__main__":
    sys.exit(main())
