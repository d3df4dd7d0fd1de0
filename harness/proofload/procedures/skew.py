"""skew: does serving compute what training did? From two files, from a live target, or from a golden set.

Files (`reference` and `serving`, joined by `key`): feature by feature; where nothing joins, drift. Live: recorded
requests are replayed, and the features that the answers tell are compared with the offline ones (`reference`, or
features.jsonl beside the payload file). Golden set: predictions alone, expected against served. Replays come singly
and in bursts, for batching mixes answers up only in company; some come twice with values in another order, for a
cache that forgets the order.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from proofload.analysis.summary import with_outcome
from proofload.clock import NS_PER_S
from proofload.engine.answers import compile_path
from proofload.engine.client import Stretch
from proofload.errors import InputError
from proofload.procedures import Bench, Evidence, Findings
from proofload.procedures._skew.files import KEY, Taken, take
from proofload.procedures._skew.joined import judge_files
from proofload.procedures._skew.live import judge_live
from proofload.procedures._skew.replay import write_requests
from proofload.procedures._skew.tables import REFERENCE, SERVING, parquet_bytes
from proofload.procedures._skew.terms import FIRST, SINGLY, TOGETHER, Settings
from proofload.records import Outcome, Phase
from proofload.scenarios import Scenario
from proofload.store.folder import write_whole
from proofload.workloads.payloads import load_payloads

__all__ = ["Settings", "Skew", "create", "requests"]

FEATURES = ("features.jsonl", "features.parquet", "features.csv")
"""Offline features beside a payload file, by the payloads' ids in the column "id"."""
ID = "id"
_BURST_S = 0.008
"""The requests of a burst are due within this time: together for the target, apart for the client."""
_PAUSE_RPS = 1e-3
_FIRST_RPS, _FIRST_S = 10.0, 1.0
_ALONE, _BUSY = 0.4, 0.6
"""Of what a target can serve that takes one request at a time: requests one by one, and in bursts."""


def create() -> Skew:
    return Skew()


def requests(scenario: Scenario, payloads: Path, folder: Path) -> Path:
    """What is sent, made from the target's payloads (see `_skew_replay`); the offline features are kept beside it."""
    assert isinstance(scenario, Settings)
    compile_path(scenario.features)  # for its error: better now than after the load
    beside = _beside(payloads)
    if scenario.reference is not None:
        path, key = scenario.folder / scenario.reference, scenario.key or ID
        taken = _keep(folder, REFERENCE, path, key, scenario.max_rows)
        _refuse_strangers(payloads, path, key, taken)
    elif beside is not None:
        _keep(folder, REFERENCE, beside, ID, scenario.max_rows)
    elif all(load_payloads(payloads).unexpected):
        raise _nothing_to_compare(payloads)
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
        (first,) = bench.load(Stretch(FIRST, _FIRST_RPS, _FIRST_S, seed=scenario.seed, measured=False, capture=True))
        pace = _pace(bench, first, scenario)
        bench.load(
            Stretch(SINGLY, pace.singly_rps, scenario.singly_s, seed=scenario.seed + 1, capture=True),
            Stretch(
                TOGETHER,
                pace.rate_rps,
                scenario.duration_s,
                arrival="step",
                shape={"steps": _bursts(pace, scenario.duration_s)},
                seed=scenario.seed + 2,
                capture=True,
            ),
        )

    def judge(self, evidence: Evidence, scenario: Scenario) -> Findings:
        assert isinstance(scenario, Settings)
        return judge_live(evidence, scenario) if scenario.serving is None else judge_files(evidence, scenario)


@dataclass(frozen=True, slots=True)
class _Pace:
    """What is asked of this target: as the scenario says, less of one that is slow."""

    singly_rps: float
    rate_rps: float
    burst: int


def _pace(bench: Bench, first: Phase, scenario: Settings) -> _Pace:
    """Answers are judged here, not speed: a target that one request at a time occupies for long gets fewer."""
    samples = bench.samples(first)
    spans = samples.service_ns[with_outcome(samples, Outcome.OK, Outcome.WRONG, Outcome.LATE)]
    if not len(spans):
        return _Pace(scenario.singly_rps, scenario.rate_rps, scenario.burst)
    each_s = max(float(np.min(spans)) / NS_PER_S, 1e-4)  # delays by whatever else runs are left out
    return _Pace(
        singly_rps=min(scenario.singly_rps, _ALONE / each_s),
        rate_rps=min(scenario.rate_rps, _BUSY / each_s),
        burst=max(2, min(scenario.burst, int(_BUSY * scenario.timeout_s / each_s))),
    )


def _bursts(pace: _Pace, duration_s: float) -> list[list[float]]:
    """Steps of the arrival rate: bursts that make up the rate, and pauses between them."""
    period_s = pace.burst / pace.rate_rps
    burst_s = min(_BURST_S, period_s / 2)
    count = max(1, round(duration_s / period_s))
    return [[pace.burst / burst_s, burst_s], [_PAUSE_RPS, period_s - burst_s]] * count


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


def _keep(folder: Path, name: str, path: Path, key: str, most: int) -> Taken:
    taken = take(path, key, most=most)
    write_whole(folder / name, parquet_bytes(taken, path.name))
    return taken


def _refuse_strangers(payloads: Path, reference: Path, key: str, taken: Taken) -> None:
    """Raises InputError where no payload is one of the reference's events."""
    known = set(taken.table.column(KEY).to_pylist())
    ids = [name for name in load_payloads(payloads).ids if name is not None]
    if taken.share == 1.0 and not any(name in known for name in ids):
        raise InputError(
            f"no payload of {payloads} occurs in {reference}",
            evidence=f"ids like {ids[0]!r} there, like {next(iter(known), '')!r} in the column {key} here" if ids else
            "no payload has an `id`",
            cause="features can only be compared of events that are in both",
            remedy="give each payload the `id` that the reference has in its key column",
        )  # fmt: skip


def _nothing_to_compare(payloads: Path) -> InputError:
    return InputError(
        f"there is nothing to compare the answers with: no payload of {payloads} says what is expected, and no offline "
        "features are known",
        cause="skew compares what is served with what training computed; with neither, nothing could ever differ",
        remedy="give payloads an `expect`, or offline features: `--reference FILE --key COLUMN`, or features.jsonl "
        "beside the payloads",
    )


def _beside(payloads: Path) -> Path | None:
    return next((path for name in FEATURES if (path := payloads.with_name(name)).is_file()), None)
