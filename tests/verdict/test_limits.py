"""What a container's limits did to it: when that is a cause, and when it is none."""

from __future__ import annotations

import pytest

from proofload.records import Check, Interval, Status
from proofload.verdict.causes import CAUSES
from proofload.verdict.limits import (
    THROTTLED,
    Throttling,
    blamed_on_throttling,
    kills_check,
    restarts_check,
    throttling_check,
)

MIB = 2.0**20


def check(name: str, status: Status = Status.FAIL, cause: str = "") -> Check:
    return Check(name, status, 1.0, 0.5, "", Interval(None, None), "too slow.", cause=cause)


@pytest.mark.parametrize("name", ["p50", "p99_9", "slo.p99_ms", "goodput_at_peak"])
def test_a_failure_by_time_is_blamed_on_throttling_and_says_how_much_there_was(name: str) -> None:
    [told] = blamed_on_throttling([check(name)], 0.93, mostly_late=False)
    assert told.cause == "cpu-throttled"
    assert told.evidence == "too slow; meanwhile its CPU limit stopped it in 93% of the scheduler's periods"


def test_what_throttling_does_not_explain_is_not_blamed_on_it() -> None:
    others = [check("p99", Status.PASS), check("p99", cause="latency-creep"), check("wrong_share"), check("ok_share")]
    assert blamed_on_throttling(others, 0.93, mostly_late=False) == tuple(others)
    assert blamed_on_throttling([check("p99")], THROTTLED / 2, mostly_late=True) == (check("p99"),)


def test_requests_that_do_not_end_ok_are_blamed_on_it_where_they_were_late() -> None:
    [told] = blamed_on_throttling([check("ok_share")], 0.93, mostly_late=True)
    assert told.cause == "cpu-throttled"


def test_throttling_below_saturation_is_a_cause_of_what_failed() -> None:
    seen = Throttling(light=0.77, peak=1.0, limit_cores=0.5)
    found = throttling_check(seen, [check("recovery", cause="zombie-work")])
    assert found is not None
    assert (found.status, found.cause, found.observed) == (Status.FAIL, "cpu-throttled", 0.77)
    assert "0.5 cores" in found.evidence
    assert "77% of the scheduler's periods below saturation and 100% of those at the peak" in found.evidence


def test_throttling_with_nothing_failed_is_no_failure() -> None:
    for light in (0.1, 0.9):
        found = throttling_check(Throttling(light, 1.0), [check("p99", Status.PASS), check("wrong_share")])
        assert found is not None
        assert (found.status, found.cause) == (Status.PASS, "")
    assert found is not None
    assert "nothing that it was asked for suffered" in found.evidence


def test_a_saturated_server_uses_up_its_limit_and_that_explains_nothing() -> None:
    found = throttling_check(Throttling(0.1, 1.0), [check("goodput_at_peak", cause="unbounded-queue")])
    assert found is not None
    assert found.status is Status.PASS


def test_too_many_threads_that_use_up_the_limit_at_the_peak_are_a_cause() -> None:
    failed = [check("goodput_at_peak", cause="oversubscribed-threads"), check("threads_per_core")]
    found = throttling_check(Throttling(0.1, 0.95), failed)
    assert found is not None
    assert (found.status, found.cause, found.observed) == (Status.FAIL, "cpu-throttled", 0.95)
    calm = throttling_check(Throttling(0.1, 0.1), failed)
    assert calm is not None
    assert calm.status is Status.PASS


def test_without_readings_nothing_is_said_of_throttling() -> None:
    assert throttling_check(Throttling(None, None), [check("recovery")]) is None
    only_peak = throttling_check(Throttling(None, 1.0), [])
    assert only_peak is not None
    assert only_peak.status is Status.PASS


def test_kills_and_restarts_are_findings() -> None:
    killed, restarted = kills_check(2, 256 * MIB), restarts_check(1)
    assert killed is not None
    assert restarted is not None
    assert (killed.status, killed.cause) == (Status.FAIL, "out-of-memory")
    assert "killed 2 processes of it when its memory limit of 256 MiB was reached" in killed.evidence
    assert (restarted.status, restarted.cause) == (Status.FAIL, "restarts-under-load")
    assert "started again 1 time " in restarted.evidence
    assert {killed.cause, restarted.cause, "cpu-throttled"} <= set(CAUSES)
    assert kills_check(0, None) is None
    assert restarts_check(0) is None
