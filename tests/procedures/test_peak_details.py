"""Where peak-10x looks, what it excuses, and what its report shows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proofload.procedures._peak_10x.looks import address, busy_seconds, looking
from proofload.procedures._peak_10x.neighbours import excused
from proofload.records import Check, Interval, Status
from proofload.target_model import Target


def target(**changes: object) -> Target:
    return Target.model_validate(
        {"name": "one", "transport": "http", "url": "http://127.0.0.1:9000/predict", **changes}
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("http://127.0.0.1:9000/", True)),
        ({"health": {"ready": "/ready"}}, ("http://127.0.0.1:9000/ready", False)),
        ({"health": {"ready": "/ready", "live": "/live"}}, ("http://127.0.0.1:9000/live", False)),
        ({"url": "http://[::1]:9000/x"}, ("http://[::1]:9000/", True)),
        ({"url": "http://model.test/x"}, ("http://model.test/", True)),
        ({"transport": "grpc", "url": "grpc://127.0.0.1:9000"}, ("", False)),
    ],
)
def test_where_liveness_is_looked_for(changes: dict[str, object], expected: tuple[str, bool]) -> None:
    assert address(target(**changes)) == expected
    assert address(None) == ("", False)


def test_cores_only_get_busier() -> None:
    first, second = busy_seconds(), busy_seconds()
    assert len(first) == len(second) > 0
    assert all(later >= earlier for earlier, later in zip(first, second, strict=True))


def check(name: str, status: Status = Status.FAIL) -> Check:
    return Check(name, status, 0.5, 0.9, "ratio", Interval(None, None), "slow", cause="zombie-work")


def test_neighbours_excuse_slowness_and_nothing_else() -> None:
    slow = excused(check("goodput_at_peak"), 0.5)
    assert (slow.status, slow.cause) == (Status.INCONCLUSIVE, "")
    assert "50%" in slow.evidence
    assert excused(check("p99"), 0.5).status is Status.INCONCLUSIVE
    assert excused(check("excess_refused"), 0.5).status is Status.FAIL
    collapsed = replace(check("goodput_at_peak"), interval=Interval(0.0, 0.1))
    assert excused(collapsed, 0.5).status is Status.FAIL
    assert excused(check("goodput_at_peak"), 0.05).status is Status.FAIL
    assert excused(check("goodput_at_peak"), None).status is Status.FAIL
    assert excused(check("recovery", Status.PASS), 0.9).status is Status.PASS


def test_without_a_target_there_is_nothing_to_look_at() -> None:
    class Nobody:
        target = None

    with looking(Nobody()):  # type: ignore[arg-type]  # of a bench only its target is asked for
        pass
