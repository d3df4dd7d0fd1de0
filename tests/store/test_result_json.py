"""result.json, there and back: whatever a run may conclude."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proofload.analysis.percentiles import LEVELS
from proofload.records import (
    OUTCOME_NAMES,
    Capacity,
    Check,
    ClientHealth,
    Cost,
    Distribution,
    Energy,
    Interval,
    PhaseSummary,
    Quantile,
    Result,
    Status,
    Validity,
)
from proofload.store.result_json import result_from_json, result_to_json

numbers = st.floats(allow_nan=False, allow_infinity=False)
maybe = st.none() | numbers
counts = st.integers(0, 2**40)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
intervals = st.builds(Interval, maybe, maybe)
statuses = st.sampled_from(Status)
plain = st.dictionaries(texts, texts | numbers | st.booleans() | st.none(), max_size=3)
distributions = st.builds(
    Distribution,
    n=counts,
    quantiles=st.fixed_dictionaries(
        {
            level.name: st.builds(
                Quantile,
                q=st.just(level.q),
                value=maybe,
                interval=intervals,
                censored=st.booleans(),
                needs=st.none() | counts,
            )
            for level in LEVELS
        }
    ),
    max_ms=maybe,
    mean_ms=maybe,
)
phases = st.builds(
    PhaseSummary,
    name=texts,
    planned=counts,
    outcomes=st.fixed_dictionaries(dict.fromkeys(OUTCOME_NAMES, counts)),
    offered_rps=numbers,
    goodput_rps=numbers,
    latency=distributions,
    service=distributions,
    connection_wait=distributions,
    duration_s=numbers,
    excluded=counts,
    measured=st.booleans(),
    delivery=st.none() | st.dictionaries(st.sampled_from(["lost", "duplicated", "reordered"]), counts),
)
energies = st.builds(
    Energy,
    per_million_j=numbers,
    interval=intervals,
    joules=numbers,
    predictions=counts,
    covered_s=numbers,
    mean_w=numbers,
    by=st.sampled_from(["counter", "power"]),
    idle_share=maybe,
    detail=texts,
)
results = st.builds(
    Result,
    scenario=texts,
    procedure=texts,
    target=plain,
    status=statuses,
    validity=st.lists(st.builds(Validity, texts, st.booleans(), texts, texts), max_size=3).map(tuple),
    checks=st.lists(st.builds(Check, texts, statuses, maybe, maybe, texts, intervals, texts, texts), max_size=3).map(
        tuple
    ),
    phases=st.lists(phases, max_size=2).map(tuple),
    client=st.none() | st.builds(ClientHealth, distributions, maybe, st.integers(1, 64), maybe, counts, numbers),
    cost=st.none() | st.builds(Cost, maybe, intervals, texts, st.booleans(), texts, plain, st.none() | energies),
    environment=plain,
    command=texts,
    started_at=texts,
    duration_s=numbers,
    canary=st.none() | plain,
    capacity=st.none()
    | st.builds(Capacity, maybe, intervals, st.booleans(), st.lists(plain, max_size=2).map(tuple), maybe, texts),
    headline=st.lists(texts, max_size=2).map(tuple),
    warmup=plain,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(result=results)
def test_a_result_comes_back_as_it_was(result: Result) -> None:
    document = result_to_json(result)
    assert result_from_json(document) == result
    assert result_from_json(orjson.loads(orjson.dumps(document))) == result
    assert result_from_json(json.loads(json.dumps(document, allow_nan=False))) == result


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(result=results)
def test_the_document_has_the_members_that_were_promised(result: Result) -> None:
    document = result_to_json(result)
    assert document["schema"] == "proofload.result/1"
    promised = "scenario procedure target status validity checks phases client cost environment command started_at"
    assert set(promised.split()) <= set(document)
    assert ("canary" in document) == (result.canary is not None)
    for phase in document["phases"]:
        assert set(phase["outcomes"]) == {"ok", "wrong", "late", "shed", "error", "timeout", "unsent"}
        for name in ("latency_ms", "service_ms", "connection_wait_ms"):
            assert {"n", "p50", "p90", "p95", "p99", "p99_9", "max", "intervals", "censored"} <= set(phase[name])


@pytest.mark.parametrize(
    "document", [{}, {"schema": "proofload.result/2"}, {"schema": "proofload.result/1"}], ids=["none", "next", "empty"]
)
def test_another_schema_or_a_missing_member_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError)):
        result_from_json(document)
