"""skew on answers of a simulated target: bursts, features beside predictions, strays, silence, damage."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from proofload.errors import InputError
from proofload.judging import judge
from proofload.procedures import skew
from proofload.procedures._skew.replay import read_requests
from proofload.records import Result, Status
from proofload.store.record import RunRecord
from proofload.testing.simulated_bench import queue, simulated_run

Answer = Callable[[dict[str, Any], dict[int, dict[str, Any]]], dict[str, Any]]
"""(a row: payload, begin, request; all rows by number) -> the answer's body"""
POOL = 256
"""As many as the simulated bench draws from: no twin is among them unless the settings say so."""


def right(row: dict[str, Any]) -> dict[str, Any]:
    values = row["request"].body["values"]
    return {"prediction": predicted(values), "features": {"first": values[0], "second": values[1]}}


def predicted(values: list[float]) -> float:
    return round(3 * values[0] + values[1] + 0.1 * values[2], 6)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    rng = np.random.default_rng(2)
    rows = rng.random((POOL, 3)).round(6).tolist()
    lines = [
        {"id": f"p{number}", "user": f"u{number % 60}", "body": {"values": row}, "expect": predicted(row)}
        for number, row in enumerate(rows)
    ]
    (folder / "payloads.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    features = [{"id": f"p{number}", "first": row[0], "second": row[1]} for number, row in enumerate(rows)]
    (folder / "features.jsonl").write_text("".join(json.dumps(line) + "\n" for line in features))
    return folder / "payloads.jsonl"


@pytest.fixture
def replayed(tmp_path: Path, source: Path) -> Callable[..., Result]:
    def run(answer: Any, **keys: Any) -> Result:
        given = {"twins": 0, "duration_s": 12.0, "mismatch_share": 0.02, **keys}
        settings = skew.Settings.model_validate({"name": "skew", "procedure": "skew", **given})
        out = tmp_path / "run"
        with simulated_run(out, settings, queue(0.004, exponential=False)) as bench:
            skew.requests(settings, source, out)
            skew.create().conduct(bench, settings)
            write_answers(out, answer)
        return judge(RunRecord(out))

    return run


def write_answers(out: Path, answer: Any) -> None:
    """What the captured answers would be, in the order in which they were sent."""
    record, requests = RunRecord(out), read_requests(out)
    rows = [
        {"phase": phase.index, "name": phase.name, "seq": int(row["seq"]), "payload": int(row["payload"]),
         "request": requests[int(row["payload"])]}
        for phase in record.phases
        for row in record.samples(phase.index).table
        if row["payload"] < len(requests)
    ]  # fmt: skip
    (out / "answers").mkdir()
    with (out / "answers" / "engine-0.jsonl").open("w") as file:
        for number, row in enumerate(rows):
            body = answer(number, rows)
            if body is not None:
                kept = {"phase": row["phase"], "seq": row["seq"], "arm": 0, "payload": row["payload"], "answer": body}
                file.write(json.dumps(kept) + "\n")


def causes(result: Result) -> dict[str, str]:
    return {check.name: check.cause for check in result.checks if check.status is Status.FAIL}


def test_a_target_that_is_right_passes(replayed: Callable[..., Result]) -> None:
    result = replayed(lambda number, rows: right(rows[number]))
    assert result.status is Status.PASS, result.checks
    assert result.details["mode"] == "live"
    assert "as expected, singly and in bursts" in " ".join(result.headline)


def test_a_feature_in_another_unit_is_named_and_wrong_predictions_follow_it(replayed: Callable[..., Result]) -> None:
    def cents(number: int, rows: list[Any]) -> dict[str, Any]:
        values = rows[number]["request"].body["values"]
        features = {"first": 100 * values[0], "second": values[1]}
        return {"prediction": predicted([100 * values[0], *values[1:]]), "features": features}

    result = replayed(cents)
    assert causes(result) == {"parity of first": "unit", "predictions": "unit"}


def test_predictions_that_are_wrong_with_a_feature_nobody_knows_why_follow_from_it(
    replayed: Callable[..., Result],
) -> None:
    rng = np.random.default_rng(9)

    def odd(number: int, rows: list[Any]) -> dict[str, Any]:
        values = rows[number]["request"].body["values"]
        other = values[0] if rows[number]["payload"] % 3 else values[0] + float(rng.lognormal())
        return {"prediction": predicted([other, *values[1:]]), "features": {"first": other, "second": values[1]}}

    result = replayed(odd)
    assert causes(result) == {"parity of first": "", "predictions": ""}
    assert any("are wrong, which follows from first." in sentence for sentence in result.headline)
    assert not any("the same features" in sentence for sentence in result.headline)


def test_answers_swapped_within_bursts_are_cross_talk(replayed: Callable[..., Result]) -> None:
    def swapped(number: int, rows: list[Any]) -> dict[str, Any]:
        other = number + 1 if number % 40 == 0 else number - 1 if number % 40 == 1 else number
        other = other if rows[number]["name"] == "together" and 0 <= other < len(rows) else number
        return {**right(rows[number]), "prediction": right(rows[other])["prediction"]}

    result = replayed(swapped)
    assert causes(result) == {"predictions": "cross-talk"}
    assert "go to the wrong callers" in result.headline[0]


def test_one_cached_answer_for_values_in_any_order_is_a_collision(replayed: Callable[..., Result]) -> None:
    cache: dict[Any, float] = {}

    def cached(number: int, rows: list[Any]) -> dict[str, Any]:
        answer = right(rows[number])
        key = tuple(sorted(rows[number]["request"].body["values"]))
        return {**answer, "prediction": cache.setdefault(key, answer["prediction"])}

    result = replayed(cached, pool=128, twins=128)
    assert causes(result) == {"predictions": "cache-key-collision"}


def test_predictions_alone_are_compared_where_no_answer_tells_features(
    replayed: Callable[..., Result], source: Path
) -> None:
    source.with_name("features.jsonl").unlink()
    result = replayed(lambda number, rows: {"prediction": right(rows[number])["prediction"]})
    assert result.status is Status.PASS
    assert result.details["mode"] == "golden"


def test_one_wrong_prediction_fails_where_predictions_are_all_there_is(
    replayed: Callable[..., Result], source: Path
) -> None:
    source.with_name("features.jsonl").unlink()
    result = replayed(lambda number, rows: {"prediction": -1.0} if number == 77 else right(rows[number]))
    assert causes(result) == {"predictions": "prediction-mismatch"}


def without_expectations(source: Path, keep: int = 0) -> None:
    lines = [json.loads(line) for line in source.read_text().splitlines()]
    for line in lines[keep:]:
        del line["expect"]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_what_can_be_compared_with_nothing_is_refused_before_the_run(tmp_path: Path, source: Path) -> None:
    source.with_name("features.jsonl").unlink()
    without_expectations(source)
    settings = skew.Settings.model_validate({"name": "skew", "procedure": "skew"})
    (tmp_path / "run").mkdir()
    with pytest.raises(InputError, match="nothing to compare the answers with"):
        skew.requests(settings, source, tmp_path / "run")


def test_offline_features_without_a_feature_are_no_pass(replayed: Callable[..., Result], source: Path) -> None:
    without_expectations(source)
    ids = "".join(json.dumps({"id": f"p{number}"}) + "\n" for number in range(POOL))
    source.with_name("features.jsonl").write_text(ids)
    result = replayed(lambda number, rows: right(rows[number]))
    assert result.status is Status.INCONCLUSIVE
    assert "expect" in next(check.settle for check in result.checks if check.name == "something to compare")


def test_features_that_are_missing_on_both_sides_are_no_pass(replayed: Callable[..., Result], source: Path) -> None:
    without_expectations(source)
    empty = "".join(json.dumps({"id": f"p{number}", "first": None}) + "\n" for number in range(POOL))
    source.with_name("features.jsonl").write_text(empty)
    result = replayed(lambda number, rows: {"prediction": 1.0, "features": {"first": None}})
    assert result.status is Status.INCONCLUSIVE


@pytest.mark.parametrize(("expectations", "status"), [(148, Status.INCONCLUSIVE), (149, Status.PASS)])
def test_a_golden_set_passes_from_as_many_payloads_as_bound_the_share_that_is_wrong(
    replayed: Callable[..., Result], source: Path, expectations: int, status: Status
) -> None:
    source.with_name("features.jsonl").unlink()
    without_expectations(source, keep=expectations)
    result = replayed(lambda number, rows: right(rows[number]))  # each of them many times; 2 % may be wrong
    assert result.status is status
    [check] = [check for check in result.checks if check.name == "predictions"]
    assert ("149 payloads" in check.settle) is (status is Status.INCONCLUSIVE)


def test_an_age_that_no_answer_tells_is_no_pass(replayed: Callable[..., Result]) -> None:
    result = replayed(lambda number, rows: right(rows[number]), age="age_s", max_age=60.0)
    assert result.status is Status.INCONCLUSIVE


def test_features_that_are_expected_and_never_told_are_no_pass(replayed: Callable[..., Result]) -> None:
    result = replayed(lambda number, rows: {"prediction": right(rows[number])["prediction"]})
    assert result.status is Status.INCONCLUSIVE
    assert "ask" in next(check.settle for check in result.checks if check.name == "feature parity")


def test_answers_that_are_nothing_are_wrong_and_break_nothing(replayed: Callable[..., Result]) -> None:
    odd = [{"unreadable": "<html>"}, None, [1], {"prediction": {"deep": [None]}}, {"prediction": "x", "features": 3}]
    result = replayed(lambda number, rows: odd[number % len(odd)])
    assert result.status is not Status.PASS


def test_a_run_cut_short_is_no_pass(tmp_path: Path, source: Path) -> None:
    settings = skew.Settings.model_validate({"name": "skew", "procedure": "skew"})
    run = simulated_run(tmp_path / "run", settings, queue(0.001))
    bench = run.__enter__()
    skew.requests(settings, source, tmp_path / "run")
    skew.create().conduct(bench, settings)
    assert not run.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert judge(RunRecord(tmp_path / "run")).status is Status.INVALID


def test_a_slow_target_is_asked_for_less(tmp_path: Path, source: Path) -> None:
    settings = skew.Settings.model_validate({"name": "skew", "procedure": "skew", "duration_s": 5.0})
    with simulated_run(tmp_path / "run", settings, queue(0.1, exponential=False)) as bench:
        skew.requests(settings, source, tmp_path / "run")
        skew.create().conduct(bench, settings)
    assert bench.loads[1].rate_rps <= 5.0
    assert bench.loads[2].rate_rps <= 7.0


def test_a_reference_of_other_events_is_refused(tmp_path: Path, source: Path) -> None:
    (tmp_path / "other.csv").write_text("id,first\nq1,2\nq2,3\n")
    settings = skew.Settings.model_validate(
        {"name": "skew", "procedure": "skew", "reference": str(tmp_path / "other.csv")}
    )
    (tmp_path / "run").mkdir()
    with pytest.raises(InputError, match="no payload of"):
        skew.requests(settings, source, tmp_path / "run")


def test_twins_hold_the_same_numbers_in_another_order_and_expect_nothing(tmp_path: Path, source: Path) -> None:
    settings = skew.Settings.model_validate({"name": "skew", "procedure": "skew", "twins": 20})
    (tmp_path / "run").mkdir()
    skew.requests(settings, source, tmp_path / "run")
    requests = read_requests(tmp_path / "run")
    twins = [request for request in requests if request.twin_of >= 0]
    assert len(twins) == 20
    for twin in twins:
        original = requests[twin.twin_of]
        assert not twin.has_expectation
        assert twin.body != original.body
        assert sorted(twin.body["values"]) == sorted(original.body["values"])
        assert twin.body["explain"] is True
