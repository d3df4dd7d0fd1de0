"""Claims: what is ruled, kept, told; and that each of them can be tried. Measurements are for `proofload claims`."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from proofload.analysis.goodput import ratio_of_means
from proofload.claims import STAND_IN, Claim, Measured, Prediction, report, trying
from proofload.claims import laboratory as claims_laboratory
from proofload.claims.laboratory import KEPT, LIFETIMES, QUICK_LIFETIMES, Arm, Laboratory
from proofload.claims.published import ab_users, cache_hit, dynamic_batching, kafka_p99
from proofload.claims.quantities import over_lifetimes, ratios
from proofload.claims.ruling import Ruling, of_stand_in, ruling
from proofload.cli.app import invoke
from proofload.errors import InputError, TargetError
from proofload.progress import PlainProgress
from proofload.records import Interval

BETWEEN = Prediction("a ÷ b", "×", 2.0, 4.0)


def measured(low: float | None, high: float | None, *doubts: str, value: float | None = 3.0) -> Measured:
    return Measured(value, Interval(low, high), "as seen", doubts)


@pytest.mark.parametrize(
    ("prediction", "found", "expected"),
    [
        (BETWEEN, measured(2.0, 4.0), Ruling.CONFIRMED),
        (BETWEEN, measured(2.5, 4.1), Ruling.INCONCLUSIVE),
        (BETWEEN, measured(1.0, 1.9), Ruling.LESS),
        (BETWEEN, measured(4.1, 9.0), Ruling.MORE),
        (BETWEEN, measured(4.1, None), Ruling.MORE),
        (BETWEEN, measured(2.5, None), Ruling.INCONCLUSIVE),
        (BETWEEN, measured(None, 1.9), Ruling.LESS),
        (BETWEEN, measured(2.5, 3.5, "cpu-starved"), Ruling.INCONCLUSIVE),
        (BETWEEN, measured(2.5, 3.5, value=None), Ruling.INCONCLUSIVE),
        (Prediction("p99", "ms", None, 10.0), measured(None, 9.0), Ruling.CONFIRMED),
        (Prediction("p99", "ms", None, 10.0), measured(11.0, 12.0), Ruling.MORE),
        (Prediction("power", "%", 80.0, None), measured(81.0, None), Ruling.CONFIRMED),
        (Prediction("power", "%", 80.0, None), measured(40.0, 50.0), Ruling.LESS),
    ],
)
def test_a_claim_is_confirmed_by_the_whole_interval_or_refuted_by_the_whole_interval(
    prediction: Prediction, found: Measured, expected: Ruling
) -> None:
    assert ruling(prediction, found) is expected


def test_what_stood_in_for_the_real_thing_counts_only_where_that_could_only_bear_it_out_the_more() -> None:
    found, low = measured(2.5, 3.5), measured(1.0, 1.9)
    assert of_stand_in(BETWEEN, found).doubts == (STAND_IN,)
    assert of_stand_in(BETWEEN, low, but=Ruling.LESS) == low
    assert of_stand_in(BETWEEN, found, but=Ruling.LESS).doubts == (STAND_IN,)
    assert of_stand_in(BETWEEN, measured(1.0, 1.9, "send-lag"), but=Ruling.LESS).doubts == ("send-lag", STAND_IN)


@pytest.mark.parametrize(
    ("one", "seen", "expected"),
    [
        (dynamic_batching, measured(1.01, 1.05), Ruling.INCONCLUSIVE),
        (dynamic_batching, measured(3.1, 3.9), Ruling.INCONCLUSIVE),
        (cache_hit, measured(76.3, 97.2), Ruling.LESS),
        (cache_hit, measured(200.0, 300.0), Ruling.INCONCLUSIVE),
        (kafka_p99, measured(5.0, 7.0), Ruling.CONFIRMED),
        (kafka_p99, measured(11.0, 12.0), Ruling.INCONCLUSIVE),
    ],
)
def test_a_stand_in_settles_nothing_else(
    one: Any, seen: Measured, expected: Ruling, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Batching on a CPU for batching on a GPU; memory for Redis; librdkafka's mock for a broker."""
    monkeypatch.delenv("PROOFLOAD_CLAIMS_BROKER", raising=False)
    monkeypatch.setenv("PATH", "")  # no redis-server
    for name in ("goodput_ratio", "latency_ratio", "percentile"):
        monkeypatch.setattr(one, name, lambda *_: seen, raising=False)
    monkeypatch.setattr(Laboratory, "in_turn", lambda *_, **arms: dict.fromkeys(arms, ()))
    monkeypatch.setattr(cache_hit, "_one_image", lambda _: tmp_path)
    laboratory = Laboratory(tmp_path / "one", PlainProgress(io.StringIO()), quick=True)
    assert ruling(one.PREDICTS, one.measure(laboratory)) is expected


# Lifetimes, which are what counts.


def test_of_lifetimes_the_interval_is_students_over_the_logarithms() -> None:
    found = over_lifetimes([2.0, 8.0, 4.0], "seen", ("cpu-starved",))
    low, high = stats.t.interval(0.99, 2, math.log(4.0), stats.sem(np.log([2.0, 8.0, 4.0])))
    assert found.value == pytest.approx(4.0)
    assert found.interval.low == pytest.approx(math.exp(low))
    assert found.interval.high == pytest.approx(math.exp(high))
    assert found.doubts == ("cpu-starved",)
    for few in ([3.0], [3.0, 3.1]):
        assert over_lifetimes(few, "seen").interval == Interval(None, None), "that says nothing of other lifetimes"
    for unknown in (None, 0.0, math.nan):
        assert over_lifetimes([2.0, unknown, 4.0], "seen").value is None
    assert over_lifetimes([], "seen").value is None
    assert ratios([6.0, None, 2.0, 1.0], [2.0, 1.0, 0.0, 4.0], unit=100.0) == [300.0, None, None, 25.0]


TRIALS = 4_000
FALSE = 0.005, 0.015
"""Around the 1 % that is stated: beyond three standard errors of so many trials."""


def seconds_of_lifetimes(rng: np.random.Generator, many: int) -> NDArray[np.float64]:
    """(trial, lifetime, second): lifetimes differ by 5 %, the seconds of one by 2 %; the truth is 1."""
    lifetimes = rng.normal(0.0, 0.05, (TRIALS, many, 1))
    return np.asarray(np.exp(lifetimes + rng.normal(0.0, 0.02, (TRIALS, many, 4))))


def missed(intervals: Iterable[tuple[float | None, float | None]]) -> float:
    return float(
        np.mean([not (low is not None and high is not None and low <= 1.0 <= high) for low, high in intervals])
    )


@pytest.mark.parametrize("many", [LIFETIMES, QUICK_LIFETIMES])
def test_the_truth_about_all_lifetimes_lies_outside_the_interval_in_one_of_a_hundred(many: int) -> None:
    rng = np.random.default_rng(1)
    drift = np.exp(rng.normal(0.0, 0.1, (TRIALS, many)))
    one, above = seconds_of_lifetimes(rng, many).mean(axis=2), drift * seconds_of_lifetimes(rng, many).mean(axis=2)
    below = drift * seconds_of_lifetimes(rng, many).mean(axis=2)
    of_one = [over_lifetimes(list(values), "").interval for values in one]
    of_pairs = [over_lifetimes(ratios(*both), "").interval for both in zip(above, below, strict=True)]
    for intervals in (of_one, of_pairs):
        assert FALSE[0] <= missed((each.low, each.high) for each in intervals) <= FALSE[1]


def test_pooled_as_if_they_were_independent_seconds_of_two_lifetimes_would_mislead_in_a_quarter() -> None:
    """Why it is not done."""
    rng = np.random.default_rng(1)
    above, below = (seconds_of_lifetimes(rng, 2).reshape(TRIALS, -1) for _ in range(2))
    pooled = [ratio_of_means(*both, alpha_fail=0.005, alpha_pass=0.005) for both in zip(above, below, strict=True)]
    assert missed((each.low, each.high) for each in pooled if each is not None) > 0.25


# Those that there are.


def test_there_are_at_least_ten_that_can_be_tried_and_every_one_says_what_it_needs_to() -> None:
    every = trying.known_claims()
    assert [claim.number for claim in every] == list(range(1, len(every) + 1))
    assert len({claim.name for claim in every}) == len(every)
    assert sum(claim.measure is not None for claim in every) >= 10
    for claim in every:
        assert claim.says
        assert claim.source
        assert claim.predicts.low is not None or claim.predicts.high is not None
        assert (claim.measure is None) == bool(claim.untried)
        assert (claim.measure is None) != bool(claim.how)


def test_the_users_of_an_experiment_are_counted_as_the_formula_says() -> None:
    """13,914 a group by the textbook; a power of four fifths with them, and of a good half with 6,500."""
    needed = ab_users.users_needed(0.8)
    assert needed == pytest.approx(13_900, rel=0.005)
    rng = np.random.default_rng(1)
    assert np.mean(ab_users.detections(needed, 20_000, rng)) == pytest.approx(0.8, abs=0.015)
    assert np.mean(ab_users.detections(ab_users.USERS, 20_000, rng)) < 0.6


# Trying, keeping, telling.


def claim(measure: Callable[[Laboratory], Measured] | None, untried: str = "") -> Claim:
    return Claim(1, "one", "A is 2–4 × B", "a page | with a bar", BETWEEN, "by looking", measure, untried)


def try_it(one: Claim, out: Path, *, quick: bool = False) -> trying.Tried:
    [row] = trying.tried([one], out, PlainProgress(io.StringIO()), quick=quick)
    return row


def counting(results: list[Measured]) -> tuple[Claim, list[bool]]:
    """A claim that gives one result after the other, and the trials that were made: quick or not."""
    made: list[bool] = []

    def measure(laboratory: Laboratory) -> Measured:
        made.append(laboratory.quick)
        return results[len(made) - 1]

    return claim(measure), made


def test_what_was_measured_is_kept_and_not_measured_again(tmp_path: Path) -> None:
    one, made = counting([measured(2.5, 3.5)])
    first, second = try_it(one, tmp_path), try_it(one, tmp_path)
    assert made == [False]
    assert first.ruling is second.ruling is Ruling.CONFIRMED
    assert second.measured == measured(2.5, 3.5)
    assert second.when == first.when


def test_a_quick_trial_does_not_stand_for_a_full_one_but_a_full_one_for_a_quick_one(tmp_path: Path) -> None:
    one, made = counting([measured(2.5, 3.5), measured(2.6, 3.4)])
    assert try_it(one, tmp_path, quick=True).quick
    assert not try_it(one, tmp_path).quick
    assert try_it(one, tmp_path, quick=True).measured == measured(2.6, 3.4)
    assert made == [True, False]


def test_what_is_in_doubt_is_tried_again_unless_that_would_not_help(tmp_path: Path) -> None:
    one, made = counting(
        [measured(2.5, 3.5, "cpu-starved"), measured(None, None, value=None), measured(2.5, 3.5, STAND_IN)]
    )
    assert [try_it(one, tmp_path).ruling for _ in range(4)] == [Ruling.INCONCLUSIVE] * 4
    assert len(made) == 3


def test_a_failed_experiment_is_told_and_not_kept(tmp_path: Path) -> None:
    def fails(_laboratory: Laboratory) -> Measured:
        raise TargetError("the server died", evidence="out of memory")

    row = try_it(claim(fails), tmp_path)
    assert row.ruling is Ruling.INCONCLUSIVE
    assert row.measured is not None
    assert "out of memory" in row.measured.detail
    assert trying.kept(claim(fails), tmp_path).measured is None


@pytest.mark.parametrize("end", [TargetError("the server died"), KeyboardInterrupt()])
def test_what_a_quick_trial_measured_stands_until_a_full_one_has_come_to_its_end(
    tmp_path: Path, end: BaseException
) -> None:
    def fails(laboratory: Laboratory) -> Measured:
        if not laboratory.quick:
            raise end
        (laboratory.folder / "run-1").mkdir()
        return measured(2.5, 3.5)

    one = claim(fails)
    try_it(one, tmp_path, quick=True)
    with suppress(KeyboardInterrupt):
        try_it(one, tmp_path)
    assert trying.kept(one, tmp_path).measured == measured(2.5, 3.5)
    assert [path.name for path in (tmp_path / "one").iterdir()] == [KEPT]


def test_a_damaged_file_counts_for_nothing(tmp_path: Path) -> None:
    one, made = counting([measured(2.5, 3.5), measured(2.6, 3.4)])
    try_it(one, tmp_path)
    file = tmp_path / "one" / KEPT
    whole = json.loads(file.read_bytes())
    damaged = [whole | {"measured": {"value": "x"}}, whole | {"measured": 3}, whole | {"host": {}}]
    damaged += [{key: value for key, value in whole.items() if key != left_out} for left_out in whole]
    for content in ("", "{", "[]", *map(json.dumps, damaged)):
        file.write_text(content)
        assert trying.kept(one, tmp_path).measured is None, content
    assert try_it(one, tmp_path).measured == measured(2.6, 3.4)
    assert made == [False, False]


@pytest.mark.parametrize("command", [["--json", "nowhere/x.json"], ["--out", "file"], ["--report", "file"]])
def test_where_nothing_can_be_written_nothing_is_measured(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("a file")
    monkeypatch.setattr(trying, "tried", lambda *_, **__: pytest.fail("it was measured all the same"))
    assert invoke(["claims", "--only", "ab-users", *command]) == 2
    told = capsys.readouterr().err
    assert command[1] in told
    assert "next: name a " in told
    assert Path("file").read_text() == "a file"


def test_a_folder_of_something_else_is_refused_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    thesis = tmp_path / "rest-latency" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("a year's work")
    assert invoke(["claims", "--only", "ab-users", "--only", "rest-latency", "--out", str(tmp_path)]) == 2
    assert str(thesis) in capsys.readouterr().err
    assert thesis.read_text() == "a year's work"
    assert not (tmp_path / "ab-users").exists()


def test_the_report_tells_every_claim_with_its_figure_or_why_there_is_none(tmp_path: Path) -> None:
    one, _ = counting([measured(2.5, 3.456)])
    rows = [try_it(one, tmp_path), trying.Tried(claim(None, "it needs a GPU"), None)]
    page = report.write(tmp_path, rows, command="proofload claims").read_text(encoding="utf-8")
    assert (
        "| 1 | A is 2–4 × B | a page / with a bar | a ÷ b | 2.00–4.00 × | 3.00 × (2.50–3.46) | **confirmed** |" in page
    )
    assert "it needs a GPU" in page
    assert "Of 2 claims, confirmed here: 1; not confirmed: 0 " in page
    assert "cores" in page


@pytest.mark.parametrize(
    ("prediction", "told"),
    [
        (BETWEEN, "2.00–4.00 ×"),
        (Prediction("", "%", 10.0, 50.0), "10.0–50.0%"),
        (Prediction("", "ms", None, 0.09), "below 0.0900 ms"),
        (Prediction("", "%", 80.0, None), "at least 80.0%"),
    ],
)
def test_a_range_is_told_with_its_unit(prediction: Prediction, told: str) -> None:
    assert report.predicted_text(prediction) == told


def test_the_command_prints_json_alone_and_writes_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["claims", "--only", "ab-users", "--only", "13", "--out", str(tmp_path), "--json", "-"]
    assert invoke(arguments) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    ab, torch = document["claims"]
    assert ab["ruling"] == "less"
    assert ab["measured"]["interval"]["high"] < 80.0
    assert torch["ruling"] == "untried"
    page = (tmp_path / "claims.md").read_text(encoding="utf-8")
    assert "not tried yet" in page, "the others have not been"
    assert invoke(arguments[:-2]) == 0
    assert "not confirmed: less" in capsys.readouterr().out


def test_an_unknown_claim_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError) as refused:
        trying.chosen(["int9"])
    assert "8 int8" in refused.value.evidence


# The laboratory, with real servers, once and short.


@pytest.mark.real
def test_arms_take_turns_and_leave_run_folders_that_are_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims_laboratory, "QUICK_LIFETIMES", 1)
    laboratory = Laboratory(tmp_path / "one", PlainProgress(io.StringIO()), quick=True)
    plain = Arm("fastapi", 200.0, 4.0, model="scorer")
    inline = Arm("fastapi", 200.0, 4.0, model="scorer", changes={"start.env.PROOFLOAD_INFERENCE": "inline"})
    runs = laboratory.in_turn(plain=plain, inline=inline)
    assert [len(found) for found in runs.values()] == [1, 1]
    for found in runs.values():
        assert found[0].summary.planned == pytest.approx(200 * 4 * 0.4, rel=0.3)
        assert found[0].summary.outcomes["wrong"] == 0
        assert found[0].latency("p50").value is not None
        assert len(found[0].samples) == found[0].summary.planned
    assert sorted(path.name for path in laboratory.folder.iterdir()) == ["inline-1", "plain-1", KEPT]
