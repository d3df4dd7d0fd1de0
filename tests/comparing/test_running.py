"""Making lifetimes: each a run folder, invalid ones again and counted, and going on after an interruption."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proofload.cli.app import invoke
from proofload.comparing.asked import understood
from proofload.comparing.judging import judged
from proofload.comparing.lifetimes import agrees
from proofload.comparing.running import begin, make
from proofload.errors import InputError, RunFolderError
from proofload.progress import PlainProgress
from proofload.report.decision.page import decision_document
from proofload.report.formats import html

Targets = Callable[..., list[str]]
SHORT = ["rate_rps=100"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "lifetimes").iterdir())


def test_every_lifetime_is_a_run_folder_and_a_pair_meets_the_same_arrivals(
    lab: Any, targets: Targets, tmp_path: Path
) -> None:
    asked = understood(targets("a", "b"), settings=SHORT, pairs=3, quick=True)
    begin(asked, tmp_path / "out", command="")
    make(asked, tmp_path / "out", command="", progress=PlainProgress())
    assert names(tmp_path / "out") == [f"load-0{pair}-{side}-{side}" for pair in (1, 2, 3) for side in "ab"]
    by_pair = dict(zip(lab.made, lab.seeds, strict=True))
    assert all(by_pair[f"load-0{pair}-a-a"] == by_pair[f"load-0{pair}-b-b"] for pair in (1, 2, 3))
    assert len(set(lab.seeds)) == 3


def test_an_invalid_lifetime_is_made_again_so_often_and_no_more(lab: Any, targets: Targets, tmp_path: Path) -> None:
    lab.invalid = {"load-01-a-a", "load-02-b-b", "load-02-b-b.2", "load-02-b-b.3"}
    asked = understood(targets("a", "b"), settings=[*SHORT, "compare.again=2"], pairs=4, quick=True)
    begin(asked, tmp_path / "out", command="")
    make(asked, tmp_path / "out", command="", progress=PlainProgress())
    kept = judged(asked, tmp_path / "out").conservation
    assert (kept.planned, kept.valid, kept.attempts, kept.invalid) == (8, 7, 11, 4)
    assert kept.lost == ("load-02-b-b",)
    assert kept.attempts == len(lab.made) == len(names(tmp_path / "out"))


def test_an_interrupted_comparison_goes_on_where_it_stopped(
    lab: Any, targets: Targets, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", "--quick", "--pairs", "3", "--set", *SHORT, "--out", str(tmp_path / "out")]
    for name in targets("a", "b"):
        words += ["--target", name]
    lab.until = 3
    assert invoke(words) == 130
    assert "goes on with the same command" in capsys.readouterr().err
    before = list(lab.made)
    lab.until = None
    code = invoke(words)
    assert code != 130
    assert len(lab.made) == 6
    assert lab.made[:3] == before
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert found["lifetimes"]["not_started"] == 1, "the folder that Ctrl-C left empty is counted, and stays"
    assert invoke(words) == code
    assert len(lab.made) == 6, "what is there is judged again and not made again"


def test_a_folder_that_was_copied_over_another_is_not_taken_for_it(lab: Any, targets: Targets, tmp_path: Path) -> None:
    asked = understood(targets("a", "b"), settings=SHORT, pairs=3, quick=True)
    begin(asked, tmp_path / "out", command="")
    make(asked, tmp_path / "out", command="", progress=PlainProgress())
    lifetimes = tmp_path / "out" / "lifetimes"
    for to, other in (("load-02-b-b", "load-02-a-a"), ("load-03-a-a", "load-01-a-a")):  # of a target, of a pair
        shutil.rmtree(lifetimes / to)
        shutil.copytree(lifetimes / other, lifetimes / to)
    kept = judged(asked, tmp_path / "out").conservation
    assert kept.lost == ("load-02-b-b", "load-03-a-a")
    make(asked, tmp_path / "out", command="", progress=PlainProgress())
    assert sorted(lab.made[6:]) == ["load-02-b-b.2", "load-03-a-a.2"]
    assert judged(asked, tmp_path / "out").conservation.valid == 6


@pytest.mark.parametrize(
    "damage",
    [
        lambda run: (run / "run.json").write_text("{}"),
        lambda run: (run / "run.json").write_text("garbage"),
        lambda run: (run / "result.json").write_text("[]"),
        lambda run: _without(run / "run.json", "payloads"),
        lambda run: (run / "samples" / "compact.parquet").write_bytes(b"PAR1"),
        lambda run: shutil.rmtree(run / "samples"),
    ],
)
def test_a_damaged_lifetime_is_made_again_and_the_others_are_judged(
    lab: Any, targets: Targets, tmp_path: Path, damage: Callable[[Path], Any]
) -> None:
    asked = understood(targets("a", "b"), settings=SHORT, pairs=4, quick=True)
    begin(asked, tmp_path / "out", command="")
    make(asked, tmp_path / "out", command="", progress=PlainProgress())
    damage(tmp_path / "out" / "lifetimes" / "load-02-b-b")
    found = judged(asked, tmp_path / "out")
    assert found.conservation.lost == ("load-02-b-b",)
    assert len(found.conservation.unusable) == 1
    assert found.conservation.unusable[0].startswith("load-02-b-b: ")
    assert [len(metric.pairs) for metric in found.besides[0].metrics] == [3, 3, 3]
    assert found.conservation.unusable[0].split(":")[0] in html.page(decision_document(found))
    make(asked, tmp_path / "out", command="", progress=PlainProgress())
    assert lab.made[8:] == ["load-02-b-b.2"]
    assert judged(asked, tmp_path / "out").conservation.valid == 8


def _without(path: Path, key: str) -> None:
    path.write_text(json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != key}))


def test_what_is_put_in_place_of_placeholders_makes_no_other_target() -> None:
    asked = {"url": "http://127.0.0.1:{port}/v", "start": {"command": ["{python}", "-m", "x"]}, "rtol": 0.1}
    filled = {"url": "http://127.0.0.1:81/v", "start": {"command": ["/bin/python", "-m", "x"]}, "rtol": 0.1, "more": 1}
    assert agrees(asked, filled)
    assert not agrees(asked, {**filled, "rtol": 0.2})
    assert not agrees(asked, {**filled, "start": {"command": ["/bin/python", "-m", "y"]}})
    assert not agrees(asked, {**filled, "start": {"command": ["/bin/python", "-m"]}})
    assert not agrees(asked, {})


def test_another_comparison_is_not_mixed_into_a_folder(lab: Any, targets: Targets, tmp_path: Path) -> None:
    asked = understood(targets("a", "b"), settings=SHORT, pairs=3)
    assert begin(asked, tmp_path / "out", command="proofload compare …") is False
    assert begin(asked, tmp_path / "out", command="") is True
    with pytest.raises(InputError) as refused:
        begin(understood(targets("a", "b"), settings=SHORT, pairs=9), tmp_path / "out", command="")
    assert "fixed before the first" in refused.value.cause
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(RunFolderError):
        begin(asked, tmp_path / "mine", command="")
    assert lab.made == []


def test_a_load_that_no_option_keeps_up_with_is_given_up_after_the_first_pair(
    lab: Any, targets: Targets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from proofload.records import Outcome
    from proofload.testing import synthetic_run

    monkeypatch.setattr(synthetic_run, "_MIX", {Outcome.TIMEOUT: 0.6})
    asked = understood(targets("a", "b"), settings=SHORT, pairs=6, quick=True)
    begin(asked, tmp_path / "out", command="")
    make(asked, tmp_path / "out", command="", progress=PlainProgress())
    assert len(lab.made) == 2
    found = judged(asked, tmp_path / "out")
    assert str(found.standing) == "not-comparable"
