"""The share of requests that a target's cache answered, from its counters, and where there is no such share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from proofload.report.document import Note
from proofload.report.reduce.cache_share import CacheShare
from proofload.report.sections import server
from proofload.report.sections.page import page_of
from proofload.report.view import RunView, view

S = 1_000_000_000


def counted(record: Any, **rates: float) -> Any:
    """The record with counters that grow by so many a second, from long before the run to its end."""
    last = record.phases[-1]
    t_ns = np.arange(record.phases[0].start_ns - 60 * S, last.start_ns + round(last.duration_s * S), S // 2)
    kind = type(next(iter(record.series.values())))
    grown = {
        (0, "prometheus", f"proofload_cache_{name}_total"): kind(t_ns, (t_ns - t_ns[0]) / S * rate)
        for name, rate in rates.items()
    }
    return dataclasses.replace(record, series={**record.series, **grown})


def notes(run: RunView) -> str:
    return " ".join(block.text for block in server.section(page_of([run])).blocks if isinstance(block, Note))


def test_only_what_came_in_measured_phases_counts(make_run: Callable[..., Any]) -> None:
    record = counted(make_run("flask"), hits=60.0, joined=10.0, misses=30.0, skipped=0.0)
    measured_s = sum(phase.duration_s for phase in record.phases if phase.measured)
    share = view(record).cache
    assert share is not None
    assert share.asked == pytest.approx(100 * measured_s, rel=0.05)
    assert share.hit_share == pytest.approx(0.6, abs=0.01)
    assert share.joined / share.asked == pytest.approx(0.1, abs=0.01)


def test_the_report_tells_the_share_and_warns_of_what_it_depends_on(make_run: Callable[..., Any]) -> None:
    told = notes(view(counted(make_run("flask"), hits=60.0, joined=10.0, misses=20.0, skipped=10.0)))
    assert "requests were answered from its prediction cache" in told
    assert "shared an equal one's computation" in told
    assert "were not looked up" in told
    assert "as often as requests were drawn from the payload file" in told


def test_a_target_without_a_cache_has_no_share(make_run: Callable[..., Any]) -> None:
    run = view(make_run("flask"))
    assert run.cache is None
    assert "cache" not in notes(run)


def test_a_cache_that_was_not_asked_has_no_share_either(make_run: Callable[..., Any]) -> None:
    assert view(counted(make_run("flask"), hits=0.0, misses=0.0)).cache is None


def test_a_share_is_of_all_that_was_asked() -> None:
    assert CacheShare(hits=1, joined=1, misses=1, skipped=1).hit_share == 0.25
