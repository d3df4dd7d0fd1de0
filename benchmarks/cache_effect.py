"""What the prediction cache changes: CPU, latency and goodput, without one, with one in memory, and with a Redis.

    python benchmarks/cache_effect.py [--models fraud resnet50] [--rounds 1] [--tries 1] [--seconds 4] [--budget-ms 20]

First the CPU of the serving core alone, by model (`cache_cpu.py`). Then, for each model, a run finds what the FastAPI
server can do without a cache; it is offered a quarter of that, for latency and CPU, and twice that, for goodput; once
with payloads as popular as things are (the k-th most popular one 1 ÷ k as often as the first), once with payloads that
hardly ever come again. Caches take turns within a round; ratios are to no cache in the same session, of medians of the
runs that the lab calls valid, or of all where none is. CPU is the server's by its own counter and, apart, that of
Redis. Cost is what the same machine costs for each correct answer at twice the load, so that its ratio is that of
goodput turned round; a Redis is on the house there. Every answer is checked, but for images that do not repeat.

Needs redis-server (apt-get install redis-server); without it that column is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cache_cpu import show_cpu
from cache_payloads import apart, popular
from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.records import Outcome
from proofload.report.reduce.cache_share import CacheShare, cache_share
from proofload.report.reduce.readings import increments
from proofload.resources import ensure_fixtures
from proofload.store.record import RunRecord
from redis_server import MISSING, Redis, redis_running
from tables import milliseconds, rate, show

FIRST_RPS: Mapping[str, float] = {"fraud": 8000.0, "resnet50": 60.0}
"""Asked for to find out what the server can do: more than it can."""
TIMEOUT_S = 2
NEVER = "never repeating"


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one load. CPU in ms for each correct answer; `redis_ms` None where there is none."""

    goodput_rps: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    redis_ms: float | None
    share: CacheShare | None
    not_ok: int
    reasons: tuple[str, ...]


def measured(
    model: str, payloads: Path, rate_rps: float, seconds: float, *, cache: str, budget_ms: float, redis: Redis | None
) -> Run:
    """One run through the lab. Its exit code 3 (invalid or inconclusive) is an answer, too, and 1 (a missed SLO)."""
    if redis is not None:
        redis.emptied()
    settings = {
        "arrival": "poisson",
        "rate_rps": rate_rps,
        "duration_s": seconds,
        "warmup_s": 1,
        "timeout_s": TIMEOUT_S,
        "target.model": model,
        "target.start.env.PROOFLOAD_CACHE": json.dumps(cache),
        "target.start.env.PROOFLOAD_CACHE_BUDGET_MS": json.dumps(str(budget_ms)),
    }
    with tempfile.TemporaryDirectory(prefix="proofload-cache-") as folder:
        command = [
            *(sys.executable, "-m", "proofload", "run", "load", "--target", "fastapi", "--payloads", str(payloads)),
            *(part for key, value in settings.items() for part in ("--set", f"{key}={value}")),
            *("--out", str(Path(folder) / "run"), "--json", "-"),
        ]
        before_s = redis.cpu_s() if redis is not None else 0.0
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode not in {0, 1, 3}:
            raise SystemExit(f"proofload run ended with {done.returncode}:\n{done.stderr[-2000:]}")
        spent_s = redis.cpu_s() - before_s if redis is not None else 0.0
        return _read(RunRecord(Path(folder) / "run"), spent_s if cache.startswith("redis") else None)


def _read(record: RunRecord, redis_s: float | None) -> Run:
    (phase,) = [one for one in record.phases if one.measured]
    samples = record.samples(phase.index)
    outcome = samples.table["outcome"]
    ok = int(np.count_nonzero(outcome == Outcome.OK))
    waited_ms = np.where(outcome == Outcome.TIMEOUT, TIMEOUT_S * 1e3, samples.latency_ns / NS_PER_MS)
    waited_ms = waited_ms[np.isin(outcome, (Outcome.OK, Outcome.WRONG, Outcome.LATE, Outcome.TIMEOUT))]
    window = (phase.start_ns, phase.start_ns + round(phase.duration_s * NS_PER_S))
    readings = record.readings()
    cpu = increments(readings, 0, "process_cpu_seconds_total")
    share = cache_share(readings, [window])
    every = int(np.count_nonzero(record.samples().table["outcome"] == Outcome.OK))
    return Run(
        goodput_rps=ok / phase.duration_s,
        p50_ms=float(np.quantile(waited_ms, 0.5)) if len(waited_ms) else float("nan"),
        p99_ms=float(np.quantile(waited_ms, 0.99)) if len(waited_ms) else float("nan"),
        cpu_ms=cpu.within(*window) / max(ok, 1) * 1e3 if cpu is not None else float("nan"),
        redis_ms=None if redis_s is None else redis_s / max(every, 1) * 1e3,
        share=share,
        not_ok=int(np.count_nonzero((outcome == Outcome.WRONG) | (outcome == Outcome.ERROR))),
        reasons=tuple(item.code for item in record.result.validity if not item.ok),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["fraud", "resnet50"], choices=["fraud", "resnet50"])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--tries", type=int, default=1, help="of each run, until the lab calls it valid")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--budget-ms", type=float, default=20.0, help="how long a request waits for Redis at most")
    parser.add_argument("--exponent", type=float, default=1.0, help="of popularity")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="proofload-cache-") as folder, redis_running() as redis:
        show_cpu(redis)
        for model in options.models:
            compare(model, Path(folder), options, redis)
    return 0


def compare(model: str, place: Path, options: argparse.Namespace, redis: Redis | None) -> None:
    source = ensure_fixtures(model)
    pools = {
        f"popularity 1/k^{options.exponent:g}": popular(
            source / "payloads.jsonl", place / f"{model}-popular.jsonl", options.exponent
        ),
        NEVER: apart(source, place / f"{model}-apart.jsonl"),
    }
    caches = {"none": "none", "memory": "memory"} | ({"redis": redis.url} if redis is not None else {})
    wrong = 0

    def run(payloads: Path, rate_rps: float, cache: str) -> Run:
        nonlocal wrong
        for _ in range(max(1, options.tries)):
            found = measured(
                model, payloads, rate_rps, options.seconds, cache=cache, budget_ms=options.budget_ms, redis=redis
            )
            wrong += found.not_ok
            if not found.reasons:
                break
        return found

    asked_rps = FIRST_RPS[model]
    while (can_rps := run(pools[NEVER], asked_rps, "none").goodput_rps) < asked_rps / 4:
        asked_rps /= 2  # so much more than it can do, or than this machine can send, tells nothing
    for name, payloads in pools.items():
        calm: dict[str, list[Run]] = {cache: [] for cache in caches}
        crowded: dict[str, list[Run]] = {cache: [] for cache in caches}
        for turn in range(options.rounds):
            for cache in caches if turn % 2 == 0 else reversed(caches):
                calm[cache].append(run(payloads, can_rps / 4, caches[cache]))
                crowded[cache].append(run(payloads, can_rps * 2, caches[cache]))
        _tell(f"{model}, {name}", can_rps, calm, crowded)
    notes = [f"{os.getloadavg()[0]:.1f} processes were running or waiting for {os.cpu_count()} cores at the end"]
    notes += [] if redis is not None else [MISSING]
    notes += [f"{wrong:,} answers were wrong or errors"]
    print("".join(f"  {note}\n" for note in notes), end="")


def _tell(title: str, can_rps: float, calm: Mapping[str, Sequence[Run]], crowded: Mapping[str, Sequence[Run]]) -> None:
    def middle(runs: Sequence[Run], of: str) -> float:
        valid = [one for one in runs if not one.reasons]
        return float(statistics.median(getattr(one, of) for one in valid or runs))

    rows = []
    goodput = middle(crowded["none"], "goodput_rps")
    for cache, runs in calm.items():
        own = middle(crowded[cache], "goodput_rps")
        redis_ms = [one.redis_ms for one in runs if one.redis_ms is not None]
        rows.append(
            [
                cache,
                _shares(runs),
                milliseconds(middle(runs, "p50_ms")),
                milliseconds(middle(runs, "p99_ms")),
                f"{middle(runs, 'p50_ms') / middle(calm['none'], 'p50_ms'):.2f}",
                f"{middle(runs, 'cpu_ms'):.3g}" + (f" + {statistics.median(redis_ms):.2g}" if redis_ms else ""),
                f"{middle(runs, 'cpu_ms') / middle(calm['none'], 'cpu_ms'):.2f}",
                _shares(crowded[cache]),
                rate(own),
                f"{own / goodput:.2f}" if goodput else "",
                f"{goodput / own:.2f}" if own else "",
                _remarks(runs, crowded[cache]),
            ]
        )
    head = ["cache", "known", "p50 ms", "p99 ms", "p50 ÷ none", "CPU ms", "CPU ÷ none",
            "known at twice", "goodput/s", "÷ none", "cost ÷ none", "remarks"]  # fmt: skip
    show(f"{title}: at {can_rps / 4:,.3g}/s, then at {can_rps * 2:,.3g}/s", head, rows)


def _remarks(calm: Sequence[Run], crowded: Sequence[Run]) -> str:
    """How many of the runs the lab calls valid, where not all are; where one is, the others do not count."""
    told = [f"{sum(not one.reasons for one in runs)} of {len(runs)}" for runs in (calm, crowded)]
    reasons = sorted({reason for one in (*calm, *crowded) for reason in one.reasons})
    return f"valid: {told[0]}, {told[1]} ({', '.join(reasons)})" if reasons else ""


def _shares(runs: Sequence[Run]) -> str:
    """What was known or shared, and beside it what was not looked up."""
    shares = [one.share for one in runs if one.share is not None]
    if not shares:
        return ""
    known = statistics.median((one.hits + one.joined) / one.asked for one in shares)
    skipped = statistics.median(one.skipped / one.asked for one in shares)
    return f"{known:.0%}" + (f" ({skipped:.0%} not asked)" if skipped > 0.005 else "")


if __name__ == "__main__":
    sys.exit(main())
