"""The index over run folders: what it keeps, and that nothing is lost with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from proofload.errors import InputError
from proofload.nightly.history import FILE, Index
from proofload.nightly.plan import Cell
from proofload.nightly.rows import Row
from proofload.records import Status
from proofload.testing.synthetic_nights import Made, a_cell, write_night


def rows(out: Path, told: list[str] | None = None) -> list[Row]:
    return Index(out, (told if told is not None else []).append).rows()


def test_a_row_holds_what_the_run_folder_says(tmp_path: Path) -> None:
    write_night(tmp_path, 0, {a_cell(): Made(p99_ms=40.0, cost=0.8, said="flask holds.")})
    (row,) = rows(tmp_path)
    assert (row.night, row.scenario, row.target, row.device) == ("2026-01-01", "load", "flask", "cpu")
    assert (row.status, row.said, row.cost, row.currency) == (Status.PASS, "flask holds.", 0.8, "USD")
    assert (tmp_path / row.folder / "run.json").is_file()
    assert {figure.name: (figure.value, figure.unit) for figure in row.figures} == {
        "p50": (10.0, "ms"),
        "p99": (40.0, "ms"),
    }


def test_only_valid_figures_are_followed(tmp_path: Path) -> None:
    made: dict[Cell, Made | str | None] = {
        a_cell("invalid"): Made(status=Status.INVALID, cost=0.8),
        a_cell("failed"): Made(status=Status.FAIL),
        a_cell("censored"): Made(censored=True),
        a_cell("fast"): Made(capacity_rps=900.0),
        a_cell("down"): "error: the target down cannot be started\n  evidence: port 1",
        a_cell("untried"): None,
    }
    write_night(tmp_path, 0, made)
    found = {row.target: row for row in rows(tmp_path)}
    assert {target: [figure.name for figure in row.figures] for target, row in found.items()} == {
        "invalid": [],
        "failed": ["p50", "p99"],
        "censored": ["p50", "p99"],
        "fast": ["capacity"],
        "down": [],
    }
    assert [figure.bound for figure in found["censored"].figures] == ["", "at least"]
    assert found["invalid"].cost is None
    assert found["down"].status is None
    assert found["down"].said.startswith("the target down cannot be started")


def test_what_was_done_since_is_taken_in(tmp_path: Path) -> None:
    for number in range(3):
        write_night(tmp_path, number, {a_cell(): Made()})
        assert [row.night for row in rows(tmp_path)] == [f"2026-01-0{day + 1}" for day in range(number + 1)]


_FIRST_BLOCK = 3 * 4096
"""Of a duckdb file, behind its three headers."""


@pytest.mark.parametrize(
    "damage", ["gone", "garbage", "empty", "cut", "a flipped byte", "another version", "another program's"]
)
def test_a_damaged_index_is_no_loss(many_nights: Callable[..., Path], damage: str) -> None:
    out = many_nights(3)
    before, index, told = rows(out), out / FILE, list[str]()
    if damage == "gone":
        index.unlink()
    elif damage == "garbage":
        index.write_bytes(b"no database" * 1000)
    elif damage == "empty":
        index.write_bytes(b"")
    elif damage == "cut":
        index.write_bytes(index.read_bytes()[: index.stat().st_size // 2])
    elif damage == "a flipped byte":
        held = bytearray(index.read_bytes())
        held[_FIRST_BLOCK] ^= 0xFF  # duckdb's checksums tell
        index.write_bytes(held)
    else:
        index.unlink()
        with duckdb.connect(str(index)) as other:
            other.execute("CREATE TABLE about (schema VARCHAR)" if "version" in damage else "CREATE TABLE mine (x INT)")
    assert rows(out, told) == before
    assert len(told) == (damage != "gone")
    assert rows(out, told) == before
    assert len(told) == (damage != "gone")


def test_rebuilding_gives_the_same_rows(many_nights: Callable[..., Path]) -> None:
    out = many_nights(4)
    before = rows(out)
    assert Index(out, lambda _: None).rebuild() == len(before) == 8
    assert rows(out) == before


def test_an_index_that_another_program_has_open_is_left_alone(many_nights: Callable[..., Path]) -> None:
    out = many_nights(1)
    rows(out)
    import subprocess
    import sys

    holding = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", holding, str(out / FILE)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="in use"):
            rows(out)
        other.communicate("")
    assert len(rows(out)) == 2


def test_a_run_folder_that_cannot_be_read_is_a_row_without_figures(tmp_path: Path) -> None:
    night = write_night(tmp_path, 0, {a_cell(): Made(), a_cell("grpc"): Made()})
    (night.run_folder(a_cell()) / "result.json").write_text("{}", encoding="utf-8")
    broken, fine = rows(tmp_path)
    assert (broken.status, fine.status) == (None, Status.PASS)
    assert "no complete run" in broken.said


def test_anybodys_sql_can_read_it(many_nights: Callable[..., Path]) -> None:
    out = many_nights(5)
    rows(out)
    with duckdb.connect(str(out / FILE), read_only=True) as index:
        asked = """SELECT target, count(*) FROM runs JOIN figures USING (night, scenario, target, device)
                   WHERE name = 'p99' AND status = 'pass' GROUP BY target ORDER BY target"""
        assert index.execute(asked).fetchall() == [("flask", 5), ("grpc", 5)]
