"""The closed list of validity codes: each is raised by what it names, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from proofload.analysis.health import client_health
from proofload.records import SAMPLE_DTYPE, Outcome, Phase, Samples
from proofload.verdict.codes import RULES
from proofload.verdict.validity import Backlog, ClosedLoop, Evidence, judge, merged

MS = 1_000_000
S = 1_000_000_000
RATE = 1000


def evidence(n: int = 20_000, *, seed: int = 1, latency_ms: float = 5.0, **readings: float) -> Evidence:
    """A healthy run on a somewhat noisy machine, and a second-by-second record of its one worker."""
    rng = np.random.default_rng(seed)
    table: NDArray[Any] = np.zeros(n, SAMPLE_DTYPE)
    table["seq"] = np.arange(n)
    table["intended_ns"] = S + np.arange(n, dtype=np.int64) * (S // RATE)
    table["dispatched_ns"] = table["intended_ns"] + (rng.lognormal(-2.5, 0.7, n) * MS).astype(np.int64)
    table["sent_ns"] = table["dispatched_ns"] + 10_000
    table["done_ns"] = table["sent_ns"] + (rng.lognormal(0, 0.3, n) * latency_ms * MS).astype(np.int64)
    table["outcome"] = Outcome.OK
    samples = Samples(table)
    reading = {"cpu_share": 0.3, "runqueue_share": 0.01, "loop_stalls": 0, "gc_pause_ms": 0.0, "steal_share": 0.01}
    stats = [{"t_ns": S * (second + 2), "worker": 0, **reading, **readings} for second in range(n // RATE)]
    phase = Phase(0, "load", "constant", RATE, n / RATE, n, S)
    return Evidence(phase, samples, client_health(samples, stats), worker_stats=stats)


def again(before: Evidence) -> Evidence:
    return replace(before, health=client_health(before.samples, before.worker_stats))


def not_ok(item: Evidence) -> set[str]:
    return {validity.code for validity in judge(item) if not validity.ok}


def delay(item: Evidence, rows: NDArray[np.bool_] | slice, by_ns: Any) -> Evidence:
    """The client is late with these rows, and all that follows of them is."""
    for column in ("dispatched_ns", "sent_ns", "done_ns"):
        item.samples.table[column][rows] += by_ns
    return again(item)


def stalled(item: Evidence, stall_ms: int, every_s: int) -> Evidence:
    into = (item.samples.table["intended_ns"] - S) % (every_s * S)
    late = into < stall_ms * MS
    return delay(item, late, (stall_ms * MS - into)[late])


def test_a_healthy_run_is_valid_in_every_code_and_order_is_fixed() -> None:
    found = judge(evidence())
    assert [validity.code for validity in found] == list(RULES)
    assert all(validity.ok for validity in found), [validity for validity in found if not validity.ok]
    assert all(validity.detail for validity in found)


def test_healthy_runs_on_noisy_machines_raise_no_false_alarm() -> None:
    """A 50 ms hiccup now and then, some steal, some waiting for cores."""
    alarms = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        item = evidence(10_000, seed=seed, runqueue_share=0.06, steal_share=0.03, latency_ms=float(rng.uniform(1, 50)))
        for start in rng.choice(9_000, rng.integers(0, 2), replace=False):
            rows = slice(int(start), int(start) + 60)
            item = delay(item, rows, np.arange(60, 0, -1) * MS)
        alarms += bool(not_ok(item))
    assert alarms == 0


@pytest.mark.parametrize("latency_ms", [1.0, 5.0, 50.0, 500.0, 3000.0])
@pytest.mark.parametrize("every_s", [1, 2, 4])
def test_a_loop_that_stalls_for_200_ms_again_and_again_is_caught(latency_ms: float, every_s: int) -> None:
    assert "loop-stall" in not_ok(stalled(evidence(latency_ms=latency_ms), 200, every_s))


def test_a_stalled_client_does_not_excuse_itself_by_the_latency_it_made() -> None:
    assert "send-lag" in not_ok(stalled(evidence(latency_ms=2.0), 200, 2))


@pytest.mark.parametrize("wait_ms", [2.0, 4.0, 20.0])
def test_a_starved_client_is_caught(wait_ms: float) -> None:
    item = evidence(latency_ms=2.0, runqueue_share=0.5)
    rng = np.random.default_rng(3)
    late = rng.random(len(item.samples)) < 0.4
    waits = (rng.uniform(0, wait_ms, np.count_nonzero(late)) * MS).astype(np.int64)
    assert {"send-lag", "cpu-starved"} <= not_ok(delay(item, late, waits))


def test_a_late_client_that_waited_for_its_core_says_so() -> None:
    item = evidence(latency_ms=2.0, runqueue_share=0.06)  # it needs little, and gets it late
    assert not_ok(item) == set()
    assert not_ok(delay(item, slice(0, 2000), 3 * MS)) == {"send-lag", "cpu-starved"}


def test_a_starved_client_of_a_slow_target_is_caught_too() -> None:
    assert not_ok(evidence(latency_ms=500.0, runqueue_share=0.4)) == {"cpu-starved"}


def test_send_lag_is_judged_at_every_reported_percentile() -> None:
    item = evidence(latency_ms=2.0)
    slow = np.arange(20_000) % 20 == 0  # a target with a slow twentieth: p99 is 200 ms, so p99 alone would permit 20 ms
    item.samples.table["done_ns"][slow] += 200 * MS
    assert not_ok(item) == set()
    assert not_ok(delay(item, slice(None), 3 * MS)) == {"send-lag"}


def test_a_busy_client_that_keeps_its_schedule_is_valid() -> None:
    assert not_ok(evidence(cpu_share=0.99)) == set()
    item = evidence(cpu_share=0.99, latency_ms=20.0)
    assert not_ok(delay(item, slice(None), MS // 2)) == {"client-cpu"}


def test_a_full_client_that_sends_on_time_and_reads_answers_late_is_caught() -> None:
    for cpu_share, codes in ((0.99, {"client-cpu"}), (0.5, set[str]())):
        item = evidence(cpu_share=cpu_share, latency_ms=20.0)
        for column in ("sent_ns", "done_ns"):
            item.samples.table[column] += 300 * MS  # no connection was free: they wait for answers to be read
        assert not_ok(again(item)) == codes


def _drop(item: Evidence) -> Evidence:
    return replace(item, samples=Samples(np.delete(item.samples.table, 17)))


def _double(item: Evidence) -> Evidence:
    item.samples.table["seq"][17] = 16
    return item


def _unsent(item: Evidence) -> Evidence:
    for column in ("dispatched_ns", "sent_ns", "done_ns"):
        item.samples.table[column][-5:] = 0
    item.samples.table["outcome"][-5:] = Outcome.UNSENT
    return item


def _backwards(item: Evidence) -> Evidence:
    item.samples.table["done_ns"][5] = item.samples.table["sent_ns"][5] - MS
    return item


@pytest.mark.parametrize(
    ("code", "spoil"),
    [
        ("conservation", _drop),
        ("conservation", _double),
        ("unsent", _unsent),
        ("clock", _backwards),
        ("interrupted", lambda item: replace(item, interrupted="SIGINT after 3 s")),
        ("client-fds", lambda item: replace(item, client_errors={"client-fds": 1})),
        ("client-ports", lambda item: replace(item, client_errors={"client-ports": 1})),
        ("broker-backlog", lambda item: replace(item, backlog=Backlog(90_000, 1000))),
        ("broker-backlog", lambda item: replace(item, backlog=Backlog(1000, 5 * 2**20))),
    ],
)
def test_each_code_is_raised_by_what_it_names_alone(code: str, spoil: Callable[[Evidence], Evidence]) -> None:
    found = judge(spoil(evidence()))
    assert {validity.code for validity in found if not validity.ok} == {code}
    bad = next(validity for validity in found if not validity.ok)
    assert bad.remedy == RULES[code].remedy


def test_steal_is_the_hosts_fault() -> None:
    assert not_ok(evidence(steal_share=0.2)) == {"host-steal"}


def test_a_shared_core_is_a_fault_only_when_the_client_suffers() -> None:
    shared = replace(evidence(), shared_cores=(0,))
    assert not_ok(shared) == set()
    suffering = replace(evidence(latency_ms=500.0, runqueue_share=0.5), shared_cores=(0,))
    assert not_ok(suffering) == {"cpu-starved", "shared-core"}


def test_a_run_that_never_reached_the_target_has_no_data() -> None:
    item = evidence()
    item.samples.table["outcome"] = Outcome.UNSENT
    assert "no-data" in not_ok(item)
    empty = evidence(1000)
    assert "no-data" in not_ok(replace(empty, samples=Samples(empty.samples.table[:0])))


def test_a_target_that_fails_every_request_is_data() -> None:
    item = evidence()
    item.samples.table["outcome"] = Outcome.ERROR
    assert not_ok(item) == set()


def test_a_tie_of_warm_up_does_not_spoil_the_measured_stretch() -> None:
    item = delay(evidence(), slice(0, 2000), 30 * MS)
    assert "send-lag" in not_ok(item)
    assert not_ok(again_cut(item, S + 3 * S)) == set()


def again_cut(item: Evidence, cut_ns: int) -> Evidence:
    kept = Samples(item.samples.table[item.samples.table["intended_ns"] >= cut_ns])
    return replace(item, cut_ns=cut_ns, health=client_health(kept, item.worker_stats))


def test_a_run_is_valid_only_where_every_phase_is() -> None:
    good, bad = judge(evidence()), judge(_backwards(evidence()))
    both = merged({"one": good, "two": bad})
    assert [validity.code for validity in both] == list(RULES)
    assert [validity.code for validity in both if not validity.ok] == ["clock"]
    assert next(validity for validity in both if not validity.ok).detail.startswith("two: ")


def test_every_rule_publishes_a_threshold_and_a_remedy() -> None:
    for code, rule in RULES.items():
        assert rule.code == code
        assert rule.threshold
        assert rule.remedy


def test_what_is_missing_and_what_is_surplus_are_told_apart() -> None:
    def told(item: Evidence) -> str:
        return next(validity.detail for validity in judge(item) if validity.code == "conservation")

    assert "1 have no record; 0 records are surplus" in told(_drop(evidence(1000)))
    assert "1 have no record; 1 records are surplus" in told(_double(evidence(1000)))
    assert told(evidence(1000)) == "1,000 planned, 1,000 recorded once each"


def test_a_backlog_is_told_in_messages_and_mebibytes() -> None:
    item = replace(evidence(1000), backlog=Backlog(1234, 3 * 2**20))
    detail = next(validity.detail for validity in judge(item) if validity.code == "broker-backlog")
    assert detail == "at most 1,234 messages (3 MiB) waited in one partition"


def test_a_closed_loop_is_told_and_spoils_a_run_only_where_it_closed() -> None:
    def seen(loop: ClosedLoop | None) -> tuple[bool, str]:
        (found,) = (item for item in judge(replace(evidence(1000), closed_loop=loop)) if item.code == "closed-loop")
        return found.ok, found.detail

    assert seen(None) == (True, "requests were sent when they were due, whether or not earlier ones had been answered")
    ok, detail = seen(ClosedLoop(users=50, held_up=10, of=1000))
    assert ok
    assert detail.startswith(
        "50 users each waited for their answer before they sent again; 10 of 1,000 requests (1.0%)"
    )
    assert not seen(ClosedLoop(users=50, held_up=11, of=1000))[0]
    assert seen(ClosedLoop(users=50, held_up=0, of=0))[0]
