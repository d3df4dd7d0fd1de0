"""skew from two files: what a foreign table may hold, what is found in it, what is refused in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from proofload.errors import InputError
from proofload.judging import judge
from proofload.procedures import skew
from proofload.procedures._skew.files import KEY, take
from proofload.records import Result, Status
from proofload.store.record import RunRecord
from proofload.testing.simulated_bench import queue, simulated_run

Compare = Callable[..., Result]
ROWS = 600


@pytest.fixture
def training() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    amounts = np.round(rng.lognormal(3, 1, ROWS), 2)
    return pd.DataFrame(
        {
            "event": [f"e{number}" for number in range(ROWS)],
            "card_id": rng.integers(0, 100, ROWS).astype(str),
            "amount": amounts,
            "ratio": amounts / rng.lognormal(3, 1, ROWS),
            "local_hour": rng.integers(0, 24 * 60, ROWS) / 60,
            "shop": rng.choice(["grocery", "fuel", "travel"], ROWS),
            "age_days": np.where(rng.random(ROWS) < 0.1, np.nan, rng.integers(0, 900, ROWS)),
            "prediction": rng.random(ROWS),
            "label": rng.integers(0, 2, ROWS),
        }
    )


@pytest.fixture
def compared(tmp_path: Path, training: pd.DataFrame) -> Compare:
    def run(
        serving: pd.DataFrame,
        *,
        reference: pd.DataFrame = training,
        suffix: str = ".csv",
        key: str | None = "event",
        **keys: Any,
    ) -> Result:
        files = {}
        for name, table in (("reference", reference), ("serving", serving)):
            path = tmp_path / f"{name}{suffix}"
            if suffix == ".csv":
                table.to_csv(path, index=False)
            elif suffix == ".parquet":
                table.to_parquet(path)
            else:
                table.to_json(path, orient="records", lines=True)
            files[name] = str(path)
        settings = skew.Settings.model_validate({"name": "skew", "procedure": "skew", "key": key, **files, **keys})
        assert not settings.needs_target
        with simulated_run(tmp_path / "run", settings, queue(0.001)) as bench:
            skew.create().conduct(bench, settings)
        return judge(RunRecord(tmp_path / "run"))

    return run


def failed(result: Result) -> dict[str, str]:
    return {check.name: check.cause for check in result.checks if check.status is Status.FAIL}


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_the_same_rows_in_another_order_pass_whatever_the_format(
    compared: Compare, training: pd.DataFrame, suffix: str
) -> None:
    result = compared(training.drop(columns="label").sample(frac=1, random_state=1), suffix=suffix)
    assert result.status is Status.PASS
    assert result.details["rows"]["joined"] == ROWS
    assert "without a difference" in result.headline[0]


@pytest.mark.parametrize(
    ("column", "change", "cause"),
    [
        ("amount", lambda values: values * 100, "unit"),
        ("local_hour", lambda values: (values + 3) % 24, "timezone"),
        ("age_days", lambda values: values.fillna(0), "null-handling"),
        ("shop", lambda values: values.str.upper(), "category-encoding"),
        ("ratio", lambda values: values.round(2), "rounding"),
    ],
)
def test_one_feature_that_differs_is_named_with_its_error(
    compared: Compare, training: pd.DataFrame, column: str, change: Callable[[Any], Any], cause: str
) -> None:
    result = compared(training.assign(**{column: change(training[column])}))
    assert failed(result) == {f"parity of {column}": cause}
    assert column in result.headline[0]
    assert f"({cause})" in result.headline[0]


def test_values_of_each_card_s_row_before_are_stale(compared: Compare, training: pd.DataFrame) -> None:
    before = training.groupby("card_id")[["amount", "ratio"]].shift(1)
    result = compared(training.assign(**before.fillna(training[["amount", "ratio"]])))
    assert set(failed(result).values()) == {"staleness"}


@pytest.fixture
def ordered(training: pd.DataFrame) -> pd.DataFrame:
    """Training with a small count of each customer, whose it is and when it was, in that order."""
    orders = np.random.default_rng(6).integers(0, 9, ROWS)
    named = training.rename(columns={"card_id": "who"}).drop(columns="label")
    return named.assign(orders=orders, at=np.arange(ROWS) * 60, prediction=0.1 * orders)


def one_event_old(ordered: pd.DataFrame, *, of: int) -> pd.DataFrame:
    """One customer in `of` has the count of the event before."""
    old = ordered.groupby("who")["orders"].shift(1).fillna(ordered["orders"]).astype(int)
    orders = old.where(ordered["who"].astype(int) % of == 0, ordered["orders"])
    return ordered.assign(orders=orders, prediction=0.1 * orders)


@pytest.mark.parametrize("of", [1, 2])
def test_a_small_count_that_is_one_event_old_is_stale_where_whose_and_when_are_known(
    compared: Compare, ordered: pd.DataFrame, of: int
) -> None:
    serving = one_event_old(ordered, of=of).drop(columns=["who", "at"])  # it is enough that training tells
    reference = ordered.sample(frac=1, random_state=3)
    result = compared(serving, reference=reference, entity="who", timestamp="at")
    assert failed(result) == {"parity of orders": "staleness", "prediction parity": "staleness"}
    assert "the event before, of the same entity" in result.headline[0]


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({}, "only with `entity` and `timestamp` set"),
        ({"entity": "whom", "timestamp": "at"}, "training has no column whom"),
    ],
)
def test_an_old_count_of_nobody_knows_whom_is_not_called_old_and_what_it_takes_is_said(
    compared: Compare, ordered: pd.DataFrame, keys: dict[str, str], says: str
) -> None:
    result = compared(one_event_old(ordered, of=1), reference=ordered, **keys)
    assert failed(result) == {"parity of orders": "", "prediction parity": ""}
    assert says in result.headline[0]


def test_predictions_that_are_wrong_where_an_unknown_error_is_follow_from_it(
    compared: Compare, training: pd.DataFrame
) -> None:
    odd = training["amount"] * np.random.default_rng(7).lognormal(0, 1, ROWS)
    result = compared(training.assign(amount=odd, prediction=1 - training["prediction"]))
    assert failed(result) == {"parity of amount": "", "prediction parity": ""}
    (told,) = [check.evidence for check in result.checks if check.name == "prediction parity"]
    assert "follows from amount" in told


def test_flips_are_counted_with_their_interval(compared: Compare, training: pd.DataFrame) -> None:
    result = compared(training.assign(prediction=1 - training["prediction"]))
    assert failed(result) == {"prediction parity": "prediction-mismatch"}
    assert result.details["flips"]["share"] > 0.99
    assert any("decisions flip" in sentence for sentence in result.headline)


def test_missing_and_repeated_ids_and_features_are_findings(compared: Compare, training: pd.DataFrame) -> None:
    short = training.iloc[:500].drop(columns="ratio")
    found = failed(compared(pd.concat([short, short.iloc[:50]])))
    assert found == {"missing rows": "missing-rows", "duplicate rows": "duplicate-rows", "schema": "schema-mismatch"}


def test_a_schema_hash_and_an_age_are_held_to(compared: Compare, training: pd.DataFrame) -> None:
    serving = training.assign(schema="abc", feature_age=7200.0)
    result = compared(serving, schema_path="schema", schema_hash="abd", age="feature_age", max_age=3600.0)
    assert failed(result) == {"schema": "schema-mismatch", "freshness": "staleness"}


def test_few_rows_are_inconclusive_and_say_how_many_it_takes(compared: Compare, training: pd.DataFrame) -> None:
    result = compared(training.iloc[:100], missing_share=0.9)
    assert result.status is Status.INCONCLUSIVE
    assert "299 rows" in next(check.settle for check in result.checks if check.name == "feature parity")


@pytest.mark.parametrize("columns", [["event", "label"], ["event", "nothing"]])
def test_files_without_a_value_in_common_are_no_pass(
    compared: Compare, training: pd.DataFrame, tmp_path: Path, columns: list[str]
) -> None:
    training["nothing"] = np.nan
    for column in set(training.columns) - set(columns):
        del training[column]
    result = compared(training.drop(columns="label", errors="ignore"), suffix=".parquet")
    assert result.status is Status.INCONCLUSIVE, result.checks
    assert not any("all 0 features" in sentence for sentence in result.headline)


def test_predictions_that_are_missing_on_both_sides_were_not_compared(
    compared: Compare, training: pd.DataFrame
) -> None:
    training["prediction"] = np.nan
    assert compared(training, suffix=".parquet").status is Status.INCONCLUSIVE


def test_an_age_that_few_rows_tell_is_no_pass(compared: Compare, training: pd.DataFrame) -> None:
    training["feature_age"] = np.where(np.arange(ROWS) < 3, 10.0, np.nan)
    result = compared(training, age="feature_age", max_age=3600.0)
    assert next(check for check in result.checks if check.name == "freshness").status is Status.INCONCLUSIVE
    result = compared(training, age="another", max_age=3600.0)
    assert next(check for check in result.checks if check.name == "freshness").status is Status.INCONCLUSIVE


def test_columns_of_one_value_show_no_absence_of_drift(compared: Compare, training: pd.DataFrame) -> None:
    for column in set(training.columns) - {"event"}:
        training[column] = 7.0
    same = training.assign(event="x" + training["event"])
    result = compared(same)
    assert (result.details["mode"], result.status) == ("drift", Status.INCONCLUSIVE)
    assert "Nothing could be compared" in result.headline[0]


def test_rows_that_do_not_join_are_compared_by_distribution(compared: Compare, training: pd.DataFrame) -> None:
    other = training.assign(event="x" + training["event"], amount=training["amount"] * 100)
    result = compared(other)
    assert result.details["mode"] == "drift"
    assert failed(result) == {"drift of amount": "unit"}


def test_too_few_independent_rows_are_told_with_what_they_are_worth(compared: Compare, training: pd.DataFrame) -> None:
    training["weekday"] = np.repeat(np.arange(3.0), ROWS // 3)
    result = compared(training.assign(event="x" + training["event"]))
    (check,) = [check for check in result.checks if check.name == "drift of weekday"]
    assert check.status is Status.INCONCLUSIVE
    assert (check.interval.low, check.interval.high) == (0.0, 1.0)
    assert "600 of training are worth" in check.settle
    assert "follow one another" in check.settle


def test_predictions_that_come_to_rest_at_a_bound_have_drifted_as_any_others(
    compared: Compare, training: pd.DataFrame
) -> None:
    """Two rows in five are 1 exactly, which makes them no one event's repetition."""
    high = np.where(np.arange(ROWS) % 5 < 2, 1.0, 0.9 + training["prediction"] / 10)
    other = training.assign(event="x" + training["event"], prediction=high)
    assert failed(compared(other)) == {"drift of prediction": "drift"}


def test_a_run_that_kept_no_tables_is_no_pass(tmp_path: Path) -> None:
    settings = skew.Settings.model_validate(
        {"name": "skew", "procedure": "skew", "reference": "a.csv", "serving": "b.csv", "key": "id"}
    )
    with simulated_run(tmp_path, settings, queue(0.001)):
        pass
    assert judge(RunRecord(tmp_path)).status is Status.INVALID


# What may come.


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"id,x\n", "no rows"),
        ("a.csv", b"id,x,x\n1,2,3\n", "two columns called 'x'"),
        ("a.csv", b"key,x\n1,2\n", "no column 'id'"),
        ("a.csv", "id,x\n1,größer\n".encode("latin-1"), "UTF-8"),
        ("a.csv", "id,x\n1,2\n".encode("utf-16"), "UTF-8"),
        ("a.csv", b"id,x\n1,2\n3,4,5\n", "cannot be read"),
        ("a.csv", b"id,x\n,2\n,3\n", "empty in every row"),
        ("a.parquet", b"id,x\n1,2\n", "cannot be read"),
        ("a.jsonl", b'{"id": 1}\n{"id": \n', "line 2 is not JSON"),
        ("a.jsonl", b"[1, 2]\n", "no JSON object"),
        ("a.xlsx", b"PK", "not a table"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        take(path, "id", most=1000)
    assert says in str(caught.value)
    assert caught.value.remedy


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        take(tmp_path / "none.csv", "id", most=1000)
    with pytest.raises(InputError, match="folder"):
        take(tmp_path, "id", most=1000)


def test_mixed_columns_odd_numbers_and_nested_objects_are_read_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = [
        {"id": 1, "features": {"x": 1, "y": None, "z": "a"}},
        {"id": 2.0, "features": {"x": "one", "y": 2.5, "z": True}},
        {"id": "3", "features": {"x": False}, "extra": [1, 2]},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = take(path, "id", most=1000).table
    assert table.column(KEY).to_pylist() == ["1", "2", "3"]
    assert [json.loads(item) for item in table.column("x").to_pylist()] == [1, "one", False]
    assert table.column("y").to_pylist() == [None, 2.5, None]


def test_a_csv_with_semicolons_quotes_and_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbfid;x;zip\n1;"a;b";007\n2;NaN;010\n')
    table = take(path, "id", most=1000).table
    assert table.column("x").to_pylist() == ["a;b", None]
    assert table.column("zip").to_pylist() == ["007", "010"]  # a number would lose its zeros


def test_of_many_rows_the_same_ids_are_taken_on_both_sides(tmp_path: Path) -> None:
    ids = [f"id-{number}" for number in range(5000)]
    pd.DataFrame({"id": ids, "x": range(5000)}).to_csv(tmp_path / "a.csv", index=False)
    pd.DataFrame({"id": ids[::-1], "x": range(5000)}).to_parquet(tmp_path / "b.parquet")
    one = take(tmp_path / "a.csv", "id", most=1000)
    other = take(tmp_path / "b.parquet", "id", most=1000)
    assert one.rows == other.rows == 5000
    assert 850 < len(one.table) < 1150
    assert set(one.table.column(KEY).to_pylist()) == set(other.table.column(KEY).to_pylist())
