"""The client's health: stalls are episodes, shares are means, what nobody read is unknown."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.health import client_health, lag_episodes
from proofload.records import SAMPLE_DTYPE, Samples

MS = 1_000_000
S = 1_000_000_000


def run(seconds: int, stall_ms: float = 0.0, every_s: float = 1.0) -> Samples:
    """1,000 requests a second by two workers; the first one's loop stands still now and then."""
    n = seconds * 1000
    table: NDArray[Any] = np.zeros(n, SAMPLE_DTYPE)
    table["intended_ns"] = S + np.arange(n, dtype=np.int64) * MS
    table["dispatched_ns"] = table["intended_ns"] + MS // 10
    table["worker"] = np.arange(n) % 2
    into = (table["intended_ns"] - S) % round(every_s * S)
    stalled = (into < stall_ms * MS) & (table["worker"] == 0)
    table["dispatched_ns"][stalled] += (round(stall_ms * MS) - into)[stalled]
    return Samples(table)


def test_each_stall_is_one_episode_whatever_the_rate() -> None:
    assert lag_episodes(run(10)) == 0
    assert lag_episodes(run(10, stall_ms=200)) == 10
    assert lag_episodes(run(10, stall_ms=30)) == 0
    assert lag_episodes(run(20, stall_ms=300, every_s=5)) == 4


def test_shares_are_the_worst_workers_mean_within_the_stretch() -> None:
    stats = [
        {"t_ns": S + second * S, "worker": worker, "cpu_share": share, "loop_stalls": 1, "gc_pause_ms": second}
        for second in range(1, 5)
        for worker, share in ((0, 0.2), (1, 0.4 + 0.1 * (second % 2)))
    ]
    stats.append({"t_ns": 100 * S, "worker": 0, "cpu_share": 1.0})
    health = client_health(run(4), stats)
    assert health.cpu_share is not None
    assert abs(health.cpu_share - 0.45) < 1e-9
    assert health.runqueue_share is None
    assert health.loop_stalls == 8
    assert health.gc_pause_ms == 4
    assert health.cores == 2


def test_a_run_without_readings_knows_what_the_samples_tell() -> None:
    health = client_health(run(10, stall_ms=200), [])
    assert (health.cpu_share, health.gc_pause_ms) == (None, None)
    assert health.loop_stalls == 10
    assert health.send_lag.quantiles["p50"].value == 0.1


def test_a_reading_counts_if_its_second_is_within_the_stretch() -> None:
    stats = [{"t_ns": t_ns, "worker": 0, "loop_stalls": 1} for t_ns in (S - 1, S, 3 * S, 6 * S - MS, 6 * S)]
    assert client_health(run(4), stats).loop_stalls == 3  # the last request is due at 5 s − 1 ms
    assert client_health(run(4), stats, cut_ns=2 * S).loop_stalls == 2
    nobody = client_health(Samples(run(4).table[:0]), stats)
    assert (nobody.loop_stalls, nobody.cpu_share, nobody.cores) == (0, None, 1)


def test_late_requests_fifty_milliseconds_apart_are_two_episodes_and_workers_stall_by_themselves() -> None:
    def episodes(*late_ms: float, workers: tuple[int, ...] | None = None, lag_ms: float = 60.0) -> int:
        table: NDArray[Any] = np.zeros(len(late_ms), SAMPLE_DTYPE)
        table["dispatched_ns"] = S + (np.array(late_ms) * MS).astype(np.int64)
        table["intended_ns"] = table["dispatched_ns"] - round(lag_ms * MS)
        table["worker"] = workers or 0
        return lag_episodes(Samples(table))

    assert episodes(0.0, 49.0) == 1
    assert episodes(0.0, 50.0) == 2
    assert episodes(0.0, 49.0, 98.0, 200.0) == 2
    assert episodes(0.0, 1.0, workers=(0, 1)) == 2
    assert episodes(0.0, lag_ms=50.0) == 1
    assert episodes(0.0, lag_ms=49.9) == 0
