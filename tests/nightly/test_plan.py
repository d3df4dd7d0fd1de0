"""The plan of a night: what is run, and in which order."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from proofload.errors import InputError
from proofload.nightly.plan import Cell, in_order, read_plan


def planned(folder: Path, text: str) -> list[Cell]:
    (folder / "nightly.toml").write_text(text, encoding="utf-8")
    return read_plan(folder / "nightly.toml").cells()


def test_every_target_meets_every_scenario_on_every_device(tmp_path: Path) -> None:
    cells = planned(tmp_path, 'scenarios = ["load", "soak"]\ntargets = ["flask", "grpc"]\ndevices = ["cpu", "cuda"]')
    assert len(cells) == len({cell.name for cell in cells}) == 8
    assert "load.flask.cpu" in {cell.name for cell in cells}


def test_without_targets_each_scenario_has_its_own(tmp_path: Path) -> None:
    assert [cell.name for cell in planned(tmp_path, 'scenarios = ["load", "kafka-delivery"]')] == [
        "load.fastapi.cpu",
        "kafka-delivery.kafka.cpu",
    ]


def test_what_is_left_out_is_not_run(tmp_path: Path) -> None:
    text = (
        'scenarios = ["load", "soak"]\ntargets = ["flask", "grpc"]\n[[leave_out]]\nscenario = "soak"\ntarget = "grpc"'
    )
    assert "soak.grpc.cpu" not in {cell.name for cell in planned(tmp_path, text)}
    with pytest.raises(InputError, match="nothing to run"):
        planned(tmp_path, 'scenarios = ["load"]\n[[leave_out]]\ndevice = "cpu"')


def test_files_stand_beside_the_plan(tmp_path: Path) -> None:
    (tmp_path / "a.target.toml").write_text('name = "own"\ntransport = "http"\nurl = "http://127.0.0.1:1/x"\n', "utf-8")
    (tmp_path / "s.scenario.toml").write_text('procedure = "load"\nname = "two words"\n', "utf-8")
    (one,) = planned(tmp_path, 'scenarios = ["s.scenario.toml"]\ntargets = ["a.target.toml"]')
    assert (one.target, one.target_name) == (str(tmp_path / "a.target.toml"), "own")
    assert one.name == "two-words.own.cpu"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('scenarios = ["no-such"]', "no scenario named"),
        ('scenarios = ["load"]\ntargets = ["no-such"]', "no target named"),
        ("scenarios = []", "scenarios"),
        ('scenarios = ["load"]\ntarget = ["flask"]', "unknown key"),
        ('scenarios = ["load"]\ndevices = ["tpu"]', "devices"),
        ('scenarios = ["load"]\n[set]\n"slo.p99_ns" = 5', "slo"),
        ('scenarios = ["load"]\nkeep_nights = 0', "keep_nights"),
        ('scenarios = ["load"]\nruntime = "contaner"', "no runtime named 'contaner'"),
        ('scenarios = ["load"]\n[set]\n"target.limits.cpuz" = 1', "cpuz"),
        ('scenarios = ["load"]\n[set]\nslo = {p99_ns = 5}', "slo"),
        ('scenarios = ["load"]\n[set]\nslo.p99_ms = "fast"', "slo.p99_ms"),
        ('scenarios = ["load"]\n[set]\nseed = 1979-05-27', "has no form in a scenario file"),
        ('scenarios = ["load"]\n[[leave_out]]\nscenario = "laod"', "leave_out.* names a scenario .*'laod'"),
        ('scenarios = ["load"]\n[[leave_out]]\ntarget = "flask"', "leave_out.* names a target .*'flask'"),
        ('scenarios = ["canary-rollback"]\n[set]\ncanary = "no-such"', "no target named 'no-such'"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused_before_anything_runs(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        planned(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        '"slo.p99_ms" = 5\n"slo.ok_share" = 0.9\n"target.limits.cpus" = 1',
        "slo.p99_ms = 5\nslo.ok_share = 0.9\ntarget.limits.cpus = 1",
        "slo = {p99_ms = 5, ok_share = 0.9}\ntarget = {limits = {cpus = 1}}",
        "[set.slo]\np99_ms = 5\nok_share = 0.9\n[set.target.limits]\ncpus = 1",
    ],
)
def test_what_is_set_may_be_written_as_dotted_keys_or_as_tables(tmp_path: Path, text: str) -> None:
    (tmp_path / "nightly.toml").write_text(f'scenarios = ["load"]\n[set]\n{text}\n', encoding="utf-8")
    found = read_plan(tmp_path / "nightly.toml")
    assert found.plan.settings() == ["slo.p99_ms=5", "slo.ok_share=0.9", "target.limits.cpus=1"]
    assert found.cells()


def matrix() -> list[Cell]:
    return [Cell(scenario, target, "cpu", scenario, target) for scenario in "abcde" for target in ("w", "x", "y", "z")]


def test_the_order_is_the_nights_own_and_can_be_drawn_again() -> None:
    assert in_order(matrix(), "2026-01-01") == in_order(matrix(), "2026-01-01")
    assert in_order(matrix(), "2026-01-01") != in_order(matrix(), "2026-01-02")
    assert Counter(in_order(matrix(), "x")) == Counter(matrix())


def test_targets_take_turns() -> None:
    for night in map(str, range(50)):
        order = in_order(matrix(), night)
        for begin in range(0, len(order), 4):
            assert {cell.target for cell in order[begin : begin + 4]} == {"w", "x", "y", "z"}
        assert all(before.target != after.target for before, after in pairwise(order))


def test_over_the_nights_every_cell_is_first_now_and_then() -> None:
    firsts = Counter(in_order(matrix(), str(night))[0] for night in range(400))
    assert set(firsts) == set(matrix())
    assert max(firsts.values()) < 45  # 20 are to be expected
