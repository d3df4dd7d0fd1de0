"""A file in, a file out: the same answers as online, and no row lost without a word."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from proofload_servers.batch.__main__ import main
from proofload_servers.batch.columns import NUMBERS, TEXTS

ROWS = 100


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def numbered(count: int) -> list[dict[str, Any]]:
    return [{"id": f"n-{index}", "x0": index, "x1": 0, "x2": 0, "x3": 0} for index in range(count)]


@pytest.fixture
def transactions(built_models: Path) -> tuple[list[dict[str, Any]], list[float]]:
    with (built_models / "fraud" / "payloads.jsonl").open() as lines:
        asked = [json.loads(line) for line, _ in zip(lines, range(ROWS), strict=False)]
    return [one["body"]["transaction"] for one in asked], [one["expect"] for one in asked]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_offline_scores_are_the_expected_ones(
    transactions: tuple[list[dict[str, Any]], list[float]], built_models: Path, tmp_path: Path, suffix: str
) -> None:
    rows, expected = transactions
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    if suffix == ".csv":
        write_csv(source, rows)
    else:
        pd.DataFrame(rows).to_parquet(source)
    flags = ["--model", str(built_models / "fraud"), "--chunk", "32"]
    assert main([*flags, "--input", str(source), "--output", str(target)]) == 0
    out = pd.read_csv(target) if suffix == ".csv" else pd.read_parquet(target)
    assert out["prediction"].tolist() == pytest.approx(expected, rel=1e-4)
    assert out["id"].tolist() == [row["transaction_id"] for row in rows]
    assert set(out["version"]) == {"1.0.0"}


def test_the_columns_are_exactly_what_features_are_computed_from(
    transactions: tuple[list[dict[str, Any]], list[float]],
) -> None:
    rows, _ = transactions
    numeric = {name for row in rows for name, value in row.items() if isinstance(value, int | float)}
    assert numeric == NUMBERS
    assert set(rows[0]) >= TEXTS


def test_bad_rows_go_to_the_rejects_with_number_and_reason_and_the_rest_is_scored(
    tiny_model: Path, tmp_path: Path
) -> None:
    rows = numbered(5)
    rows[1]["x2"] = "4111-1111"
    rows[3]["x0"] = ""
    source = write_csv(tmp_path / "in.csv", rows)
    with source.open("a") as file:
        file.write("short,1\n")
    target = tmp_path / "out.csv"
    flags = ["--model", str(tiny_model), "--chunk", "2"]
    assert main([*flags, "--input", str(source), "--output", str(target)]) == 1
    assert [(line["row"], float(line["prediction"])) for line in read_csv(target)] == [("1", 0), ("3", 2), ("5", 4)]
    rejects = read_csv(tmp_path / "out.csv.rejects.csv")
    assert [(line["row"], line["id"]) for line in rejects] == [("2", "n-1"), ("4", "n-3"), ("6", "")]
    assert all(line["reason"] for line in rejects)
    assert "4111" not in "".join(line["reason"] for line in rejects)


def test_a_list_column_of_a_parquet_file_is_a_vector(tiny_model: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table({"values": [[1.0, 2.0, 3.0, 4.0], [1.0, 0.0, 0.0, None]]}), source)
    assert main(["--model", str(tiny_model), "--input", str(source), "--output", str(target)]) == 1
    assert pq.read_table(target)["prediction"].to_pylist() == [4321.0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.csv", b"x0,x1,x2\n1,2,3\n"),
        ("in.csv", b"x0,x0,x1,x2,x3\n1,1,2,3,4\n"),
        ("in.csv", b""),
        ("in.csv", b"x0,x1,x2,x3\n\xff\xfe,1,2,3\n"),
        ("in.parquet", b"PAR1 not really"),
        ("in.json", b"{}"),
    ],
)
def test_a_file_that_cannot_be_scored_is_exit_2_and_leaves_no_output(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes
) -> None:
    source = tmp_path / name
    source.write_bytes(content)
    assert main(["--model", str(tiny_model), "--input", str(source), "--output", str(tmp_path / "out.csv")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_missing_file_and_an_unknown_output_format_are_exit_2(tiny_model: Path, tmp_path: Path) -> None:
    flags = ["--model", str(tiny_model)]
    assert main([*flags, "--input", str(tmp_path / "none.csv"), "--output", str(tmp_path / "out.csv")]) == 2
    source = write_csv(tmp_path / "in.csv", numbered(1))
    assert main([*flags, "--input", str(source), "--output", str(tmp_path / "out.txt")]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]
