"""The first thing a reader sees: one sentence per status and procedure, each with its caveat first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from proofload.records import Capacity, Cost, Interval, Result, Status
from proofload.report.sentences import called, headline


@pytest.fixture
def capacity(make_run: Callable[..., Any]) -> Result:
    result: Result = make_run("fastapi", capacity_rps=1237.0).result
    assert result.capacity is not None
    cost = Cost(0.831, Interval(0.79, 0.88), "USD", True, "1e6 × …")
    return dataclasses.replace(
        result,
        target={"name": "fastapi", "device": "cpu"},
        cost=cost,
        capacity=dataclasses.replace(result.capacity, interval=Interval(1180, 1290)),
        checks=tuple(
            dataclasses.replace(check, limit=50 if check.name == "slo.p99_ms" else 0.999) for check in result.checks
        ),
    )


def with_capacity(result: Result, **changes: Any) -> Result:
    assert isinstance(result.capacity, Capacity)
    return dataclasses.replace(result, capacity=dataclasses.replace(result.capacity, **changes))


def test_a_capacity_is_said_with_interval_limits_and_cost(capacity: Result) -> None:
    assert headline(capacity)[0] == (
        "fastapi-cpu holds 1,240 requests/s (1,180–1,290) within p99 ≤ 50 ms and ≥ 99.9 % ok, "
        "at $0.83 (0.79–0.88) per million correct predictions."
    )


def test_percentiles_come_with_n_interval_and_the_shares_of_shed_and_error(capacity: Result) -> None:
    (sentence,) = [text for text in headline(capacity) if "p99 " in text and text.startswith("At ")]
    for part in ("p50 is", "answers", "shed", "errors", "–"):
        assert part in sentence


def test_an_unpriced_target_is_never_free(capacity: Result) -> None:
    unpriced = dataclasses.replace(capacity, cost=Cost(None, Interval(None, None), "USD", False, "no price for it"))
    text = " ".join(headline(unpriced))
    assert "unpriced: no price for it" in text
    assert "$" not in text


@pytest.mark.parametrize(
    ("censored", "words"),
    [("client", "not the target, was the limit"), ("max_rate", "the highest rate that was tried")],
)
def test_a_bounded_capacity_is_at_least(capacity: Result, censored: str, words: str) -> None:
    said = headline(with_capacity(capacity, censored=censored))[0]
    assert "holds at least" in said
    assert words in said


def test_a_capacity_of_nothing_says_so(capacity: Result) -> None:
    none = dataclasses.replace(with_capacity(capacity, rate_rps=None), status=Status.FAIL)
    assert headline(none)[0].startswith("No rate is confirmed for fastapi-cpu within p99 ≤ 50 ms")
    assert none.capacity is not None
    broken = tuple({**step, "status": "fail"} for step in none.capacity.steps)
    assert "holds none of the 5 rates that were tried" in headline(with_capacity(none, steps=broken))[0]


def test_an_unconfirmed_capacity_is_not_held(capacity: Result) -> None:
    shaky = dataclasses.replace(with_capacity(capacity, confirmed=False), status=Status.INCONCLUSIVE)
    assert "no confirmation run passed" in headline(shaky)[1]
    assert not any("holds" in text for text in headline(shaky))


@pytest.mark.parametrize("procedure", ["load", "capacity", "one-that-came-later"])
def test_an_invalid_run_says_so_first_and_why(make_run: Callable[..., Any], procedure: str) -> None:
    result = dataclasses.replace(make_run("flask", invalid=True).result, procedure=procedure)
    first = headline(result)[0]
    assert first.startswith("Invalid measurement")
    assert "send lag p99 was" in first
    assert "give the client a core" in first
    assert not any("$" in text for text in headline(result))


@pytest.mark.parametrize("procedure", ["load", "one-that-came-later"])
def test_an_invalid_run_fails_nobody(make_run: Callable[..., Any], procedure: str) -> None:
    failing = make_run("flask", procedure=procedure, status=Status.FAIL, limit_ms=9).result
    said = headline(dataclasses.replace(failing, status=Status.INVALID))
    assert not any(text.startswith("Failed") for text in said)
    assert any(text.startswith("As measured, and not to be relied on: p99 is") for text in said)


@pytest.mark.parametrize("procedure", ["load", "capacity"])
def test_an_inconclusive_run_says_so_first_and_what_would_settle_it(
    make_run: Callable[..., Any], procedure: str
) -> None:
    result = make_run("flask", procedure=procedure, status=Status.INCONCLUSIVE).result
    first = headline(result)[0]
    assert first.startswith("Inconclusive: this run cannot tell whether flask keeps p99 ≤ 120 ms.")
    assert "about 12,000 more requests" in first


def test_a_load_run_passes_or_fails_in_its_first_sentence(make_run: Callable[..., Any]) -> None:
    good = headline(make_run("flask", procedure="load").result)
    assert good[0].startswith("flask holds 50")
    assert "per million correct predictions" in good[0]
    bad = headline(make_run("flask", procedure="load", status=Status.FAIL, limit_ms=9).result)
    assert bad[0].startswith("flask does not hold 50")
    assert bad[1].startswith("Failed: p99 is")
    assert bad[1].endswith("the limit is 9 ms.")
    assert not any("per million" in text for text in bad)


def test_a_run_that_never_began_claims_nothing(empty_run: Any) -> None:
    assert headline(empty_run.result)[0].startswith("Inconclusive")
    assert "was not measured" in headline(empty_run.result)[1]


def test_sentences_of_the_analysis_come_first(capacity: Result) -> None:
    assert headline(dataclasses.replace(capacity, headline=("It held.",))) == ("It held.",)


def test_a_device_is_named_once() -> None:
    assert called_of("fastapi", "cpu") == "fastapi-cpu"
    assert called_of("fastapi-cpu", "cpu") == "fastapi-cpu"
    assert called_of("fastapi", None) == "fastapi"


def called_of(name: str, device: str | None) -> str:
    empty: dict[str, Any] = dict.fromkeys(field.name for field in dataclasses.fields(Result))
    return called(Result(**{**empty, "target": {"name": name, "device": device}}))
