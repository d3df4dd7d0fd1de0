"""skew: does serving compute what training did? From two files, from a live target, or from a golden set.

Files (`reference` and `serving`, joined by `key`): feature by feature; where nothing joins, drift. Live: recorded
requests are replayed, and the features that the answers tell are compared with the offline ones (`reference`, or
features.jsonl beside the payload file). Golden set: predictions alone, expected against served. Replays come singly
and in bursts, for batching mixes answers up only in company; some come twice with values in another order, for a
cache that forgets the order.
"""

from __future__ import annotations

from pathlib import Path

from proofload.engine.answers import compile_path
from proofload.engine.client import Stretch
from proofload.procedures import Bench, Evidence, Findings
from proofload.procedures._skew_files import take
from proofload.procedures._skew_joined import judge_files
from proofload.procedures._skew_live import judge_live
from proofload.procedures._skew_replay import write_requests
from proofload.procedures._skew_tables import REFERENCE, SERVING, parquet_bytes
from proofload.procedures._skew_terms import SINGLY, TOGETHER, Settings
from proofload.scenarios import Scenario
from proofload.store.folder import write_whole

__all__ = ["Settings", "Skew", "create", "requests"]

FEATURES = ("features.jsonl", "features.parquet", "features.csv")
"""Offline features beside a payload file, by the payloads' ids in the column "id"."""
ID = "id"
_BURST_S = 0.008
"""The requests of a burst are due within this time: together for the target, apart for the client."""
_PAUSE_RPS = 1e-3


def create() -> Skew:
    return Skew()


def requests(scenario: Scenario, payloads: Path, folder: Path) -> Path:
    """What is sent, made from the target's payloads (see `_skew_replay`); the offline features are kept beside it."""
    assert isinstance(scenario, Settings)
    compile_path(scenario.features)  # for its error: better now than after the load
    beside = _beside(payloads)
    if scenario.reference is not None:
        _keep(folder, REFERENCE, scenario.folder / scenario.reference, scenario.key or ID, scenario.max_rows)
    elif beside is not None:
        _keep(folder, REFERENCE, beside, ID, scenario.max_rows)
    default = {"explain": True} if scenario.reference is None and beside is not None else {}
    ask = default if scenario.ask is None else scenario.ask
    return write_requests(payloads, folder, most=scenario.pool, twins=scenario.twins, ask=ask, seed=scenario.seed)


class Skew:
    """See `proofload.procedures.Procedure`."""

    def peak_rps(self, scenario: Scenario) -> float:
        assert isinstance(scenario, Settings)
        return max(scenario.rate_rps, scenario.burst / _BURST_S)

    def conduct(self, bench: Bench, scenario: Scenario) -> None:
        assert isinstance(scenario, Settings)
        if scenario.serving is not None:
            _keep_files(bench, scenario)
            return
        singly = Stretch(SINGLY, scenario.singly_rps, scenario.singly_s, seed=scenario.seed, capture=True)
        bursts = {"steps": _bursts(scenario)}
        seed = scenario.seed + 1
        bench.load(
            singly,
            Stretch(TOGETHER, scenario.rate_rps, scenario.duration_s, "step", bursts, seed=seed, capture=True),
        )

    def judge(self, evidence: Evidence, scenario: Scenario) -> Findings:
        assert isinstance(scenario, Settings)
        return judge_live(evidence, scenario) if scenario.serving is None else judge_files(evidence, scenario)


def _bursts(scenario: Settings) -> list[list[float]]:
    """Steps of the arrival rate: bursts that make up the rate, and pauses between them."""
    period_s = scenario.burst / scenario.rate_rps
    burst_s = min(_BURST_S, period_s / 2)
    count = max(1, round(scenario.duration_s / period_s))
    return [[scenario.burst / burst_s, burst_s], [_PAUSE_RPS, period_s - burst_s]] * count


def _keep_files(bench: Bench, scenario: Settings) -> None:
    reference, serving = (scenario.folder / str(name) for name in (scenario.reference, scenario.serving))
    first = take(reference, scenario.key, most=scenario.max_rows)
    second = take(serving, scenario.key, most=scenario.max_rows)
    if scenario.key is not None and first.share != second.share:  # the same ids on both sides
        share = min(first.share, second.share)
        first = take(reference, scenario.key, most=scenario.max_rows, share=share)
        second = take(serving, scenario.key, most=scenario.max_rows, share=share)
    bench.keep(REFERENCE, parquet_bytes(first, reference.name))
    bench.keep(SERVING, parquet_bytes(second, serving.name))


def _keep(folder: Path, name: str, path: Path, key: str, most: int) -> None:
    write_whole(folder / name, parquet_bytes(take(path, key, most=most), path.name))


def _beside(payloads: Path) -> Path | None:
    return next((path for name in FEATURES if (path := payloads.with_name(name)).is_file()), None)
