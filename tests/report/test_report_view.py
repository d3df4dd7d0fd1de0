"""Millions of samples become a few hundred numbers, and the few hundred are the right ones."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from proofload.records import SAMPLE_DTYPE, Event, Outcome, Phase, Samples
from proofload.report.reduce.readings import increments
from proofload.report.reduce.tail import tail
from proofload.report.view import RunView, view

S = 1_000_000_000


@pytest.fixture(scope="module")
def seen(make_run: Callable[..., Any]) -> RunView:
    return view(make_run("flask", bad={Outcome.ERROR: 0.01, Outcome.WRONG: 0.005}))


def test_bins_hold_every_sample_once(make_run: Callable[..., Any], seen: RunView) -> None:
    record = make_run("flask", bad={Outcome.ERROR: 0.01, Outcome.WRONG: 0.005})
    assert seen.time is not None
    widths = np.diff(seen.time.edges_s)
    assert round(float((seen.time.due_rps * widths).sum())) == len(record.table)
    assert round(sum(float((rate * widths).sum()) for rate in seen.time.ended_rps.values())) == len(record.table)
    assert len(widths) <= 260


def test_rates_are_not_diluted_at_the_edges_of_phases(seen: RunView) -> None:
    assert seen.time is not None
    final = seen.phases[-1]
    starts = seen.time.edges_s[:-1]
    inside = (starts >= final.start_s - 1e-9) & (seen.time.edges_s[1:] <= final.end_s + 1e-9)
    assert inside.sum() > 10
    assert seen.time.due_rps[inside].min() > 0.6 * final.rate_rps


def test_latency_bins_agree_with_the_samples(make_run: Callable[..., Any], seen: RunView) -> None:
    record = make_run("flask", bad={Outcome.ERROR: 0.01, Outcome.WRONG: 0.005})
    assert seen.time is not None
    last = seen.time.latency[-1]
    samples = record.samples(last.phase)
    timed = np.isin(samples.outcome, (Outcome.OK, Outcome.WRONG, Outcome.LATE, Outcome.TIMEOUT))
    assert last.n.sum() == timed.sum()
    assert np.nanmax(last.highest) == pytest.approx(samples.latency_ns[timed].max() / 1e6)


def test_the_tail_passes_through_the_percentiles_of_the_table(seen: RunView) -> None:
    (curve,) = seen.tails
    for found in seen.result.phases[-1].latency.quantiles.values():
        if found.value is not None:
            nearest = np.abs(curve.beyond - (1 - found.q)).argmin()
            assert curve.ms[nearest] == pytest.approx(found.value)
            assert curve.low[nearest] <= found.value <= curve.high[nearest]
    assert (np.diff(curve.ms) >= 0).all()
    assert len(curve.ms) < 200


def test_the_tail_goes_no_deeper_than_its_sample(seen: RunView) -> None:
    (curve,) = seen.tails
    for found in seen.result.phases[-1].latency.quantiles.values():
        if found.value is None:
            assert curve.beyond[-1] > 1 - found.q


def test_a_tail_that_falls_into_timeouts_is_marked_from_there(make_run: Callable[..., Any]) -> None:
    record = make_run("flask", bad={Outcome.TIMEOUT: 0.05})
    (curve,) = view(record).tails
    assert curve.censored_from is not None
    assert curve.beyond[curve.censored_from] == pytest.approx(0.05, rel=0.3)
    assert curve.ms[curve.censored_from] == pytest.approx(1000)


def test_no_latency_is_no_curve() -> None:
    assert tail("x", Samples(np.zeros(0, SAMPLE_DTYPE)), None) is None


def test_failures_are_counted_by_kind_with_examples(make_run: Callable[..., Any], seen: RunView) -> None:
    record = make_run("flask", bad={Outcome.ERROR: 0.01, Outcome.WRONG: 0.005})
    counted = {(row.outcome, row.kind): row.measured + row.elsewhere for row in seen.failures}
    for outcome in (Outcome.ERROR, Outcome.WRONG, Outcome.SHED, Outcome.TIMEOUT):
        total = sum(count for (name, _), count in counted.items() if name == outcome.name.lower())
        assert total == (record.table["outcome"] == outcome).sum()
    (error,) = [row for row in seen.failures if row.outcome == "error"]
    assert (error.kind, error.status, error.examples) == ("http-500", 500, ("body: http-500",))
    assert seen.failures[0].measured >= seen.failures[-1].measured


def test_versions_that_answered_are_counted(make_run: Callable[..., Any], seen: RunView) -> None:
    record = make_run("flask", bad={Outcome.ERROR: 0.01, Outcome.WRONG: 0.005})
    assert seen.versions == {"v2": int((record.table["version"] == 1).sum())}


def test_means_of_the_server_come_from_its_own_histograms(seen: RunView) -> None:
    assert seen.server is not None
    assert seen.server.queue_ms == pytest.approx(4.0 * 0.2)
    assert seen.server.compute_ms == pytest.approx(4.0 * 0.55)
    assert seen.means is not None
    assert seen.means.service_ms == pytest.approx(seen.result.phases[-1].service.mean_ms)


def test_a_restarted_counter_and_a_late_label_set_lose_nothing() -> None:
    @dataclasses.dataclass(frozen=True)
    class Series:
        t_ns: Any
        values: Any

    readings = {
        (0, "prometheus", 'n{a="1"}'): Series(np.array([0, 1, 2, 3]), np.array([5.0, 9.0, 2.0, 3.0])),  # restarts at 2
        (0, "prometheus", 'n{a="2"}'): Series(np.array([2, 3]), np.array([4.0, 6.0])),  # was not there before
        (1, "prometheus", 'n{a="1"}'): Series(np.array([0, 1]), np.array([0.0, 99.0])),
    }
    found = increments(readings, 0, "n")
    assert found is not None
    assert found.by.sum() == (9 - 5) + 2 + 1 + 4 + 2
    assert increments(readings, 0, "m") is None


def test_a_run_without_anything_still_has_a_view(empty_run: Any) -> None:
    seen = view(empty_run)
    assert seen.time is None
    assert seen.tails == ()
    assert seen.failures == ()
    assert seen.server is None


def test_a_run_cut_short_is_viewed_as_far_as_it_went(make_run: Callable[..., Any]) -> None:
    record = make_run("flask")
    cut = dataclasses.replace(record, table=record.table[: len(record.table) // 3], series={})
    seen = view(cut)
    assert seen.time is not None
    assert seen.server is None


def test_events_that_say_the_same_are_told_once(make_run: Callable[..., Any]) -> None:
    record = make_run("flask")
    note = Event(record.phases[0].start_ns + S, "example", {"what": "note", "kind": "kafka-broker", "detail": "down"})
    again = dataclasses.replace(note, t_ns=note.t_ns + S)
    health = Event(note.t_ns, "health", {"worker": 0})
    seen = view(dataclasses.replace(record, events=(*record.events, again, note, health)))
    assert [(mark.kind, mark.text) for mark in seen.events if mark.kind == "note"] == [
        ("note", "kind kafka-broker, detail down (2 times, the last at 2.0 s)")
    ]
    assert not [mark for mark in seen.events if mark.kind in {"health", "example", "phase"}]


def test_events_are_told_in_words(make_run: Callable[..., Any]) -> None:
    record = make_run("flask")
    facts = {
        "arm": 0,
        "name": "",
        "timeline": {"ready_ns": 7},
        "asked_ns": 36416810165328,
        "facts": {"pid": 7, "pinned_cores": [1]},
        "up": True,
    }
    event = Event(record.phases[0].start_ns, "server", {"what": "started", **facts, "base_rps": 5.20892781716956})
    seen = view(dataclasses.replace(record, events=(*record.events, event)))
    [mark] = [mark for mark in seen.events if mark.kind == "server"]
    assert mark.text == "arm 0, facts (pid 7, pinned cores 1), up yes, base rps 5.2089"


def test_two_arms_have_a_curve_each(make_run: Callable[..., Any]) -> None:
    record = make_run("flask")
    table = record.table.copy()
    table["arm"][::4] = 1
    assert [curve.arm for curve in view(dataclasses.replace(record, table=table)).tails] == [0, 1]


class ManySamples:
    """Makes each phase when it is asked for it, as a store that reads from disk does."""

    n = 400_000

    def __init__(self, record: Any) -> None:
        self.path, self.run, self.events = record.path, record.run, ()
        self.names: dict[tuple[str, int], str] = {}
        self.result = dataclasses.replace(record.result, phases=(), capacity=None)
        rate = self.n / 10
        self.phases = tuple(Phase(i, "load", "constant", rate, 10.0, self.n, i * 11 * S) for i in range(3))

    def samples(self, phase: int | None = None) -> Samples:
        rows = np.zeros(self.n, SAMPLE_DTYPE)
        rows["intended_ns"] = (phase or 0) * 11 * S + np.arange(self.n) * (10 * S // self.n) + 1
        rows["dispatched_ns"] = rows["sent_ns"] = rows["intended_ns"] + 1000
        rows["done_ns"] = rows["sent_ns"] + np.random.default_rng(5).integers(1_000_000, 9_000_000, self.n)
        rows["outcome"] = Outcome.OK
        return Samples(rows)

    def readings(self) -> dict[tuple[int, str, str], Any]:
        return {}


def test_memory_stays_within_a_small_multiple_of_one_phase(make_run: Callable[..., Any]) -> None:
    record = ManySamples(make_run("flask", procedure="load"))
    tracemalloc.start()
    try:
        view(record)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3.0 * record.n * SAMPLE_DTYPE.itemsize
