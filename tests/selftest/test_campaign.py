"""The self-test tested: rates are counted, bounds hold, the outcome depends on the seed alone."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from proofload.discovery import implementations
from proofload.progress import PlainProgress
from proofload.records import Status
from proofload.scenarios import load_scenario
from proofload.selftest import Case, Kind, Shape, Trial, real
from proofload.selftest import report as selftest_report
from proofload.selftest.campaign import Trialled, campaign, trials
from proofload.selftest.real import Run, cases, folder_of, plan, shortfalls
from proofload.selftest.simulated import tally
from proofload.targets import load_target
from proofload.verdict.causes import CAUSES


def coin(probability: float) -> Shape:
    return Shape(
        "coin",
        "null",
        lambda rng: Status.FAIL if rng.random() < probability else Status.PASS,
        alpha=0.01,
    )


def test_counts_are_those_of_the_seed_whatever_the_parts() -> None:
    whole = tally(coin(0.3), 200, seed=4)
    halves = [tally(coin(0.3), 100, seed=4, first=first) for first in (0, 100)]
    assert whole.counts == {
        status: sum(half.counts.get(status, 0) for half in halves) for status in (Status.FAIL, Status.PASS)
    }
    assert whole.counts != tally(coin(0.3), 200, seed=5).counts


@pytest.mark.parametrize(
    ("probability", "histories", "kept"), [(0.0, 1000, True), (0.05, 6000, False), (0.0, 50, None)]
)
def test_a_rate_is_kept_exceeded_or_cannot_be_told(probability: float, histories: int, kept: bool | None) -> None:
    assert Trialled("x", "y", "z", tally(coin(probability), histories)).kept is kept


def test_an_effect_must_be_found_as_often_as_stated_and_not_be_passed() -> None:
    def shape(found: float) -> Shape:
        return Shape(
            "effect",
            "effect",
            lambda rng: Status.FAIL if rng.random() < found else Status.PASS,
            alpha=0.01,
            magnitude=3.0,
            detect=0.99,
        )

    assert Trialled("x", "y", "z", tally(shape(1.0), 300)).kept is True
    assert Trialled("x", "y", "z", tally(shape(1.0), 100)).kept is None  # an upper bound of 3 % is no 1.3 %
    assert Trialled("x", "y", "z", tally(shape(0.9), 300)).kept is False


def test_passing_what_is_harmful_is_judged_by_its_upper_bound() -> None:
    def shape(passed: float) -> Shape:
        return Shape(
            "effect",
            "effect",
            lambda rng: Status.PASS if rng.random() < passed else Status.INCONCLUSIVE,
            alpha=0.01,
            magnitude=1.0,
        )

    assert Trialled("x", "y", "z", tally(shape(0.0), 1000)).kept is True
    assert Trialled("x", "y", "z", tally(shape(0.012), 6000)).kept is False  # the bare share is below 1.3 %


def test_a_rate_that_its_histories_cannot_bound_is_counted_as_open(tmp_path: Path) -> None:
    few = Trialled("soak", "memory grows", "soak-memory", tally(coin(0.0), 10))
    text = selftest_report.write(tmp_path, [few], [], command="selftest", made_with="x", unseen=0).read_text()
    assert "kept by 0 of the 0 shapes" in text
    assert "1 of those that state a rate had too few histories" in text


def test_the_report_tells_what_was_not_kept_and_what_was_not_run(tmp_path: Path) -> None:
    broken = Trialled("soak", "memory grows", "soak-memory", tally(coin(0.2), 6000))
    case = Case("soak", "fastapi", "leak-memory", expect=("memory-leak",))
    missed = Run(case, 0, Status.PASS, (), (), "", "0")
    found = Run(case, 1, Status.FAIL, ("memory-leak",), (), "", "0")
    path = selftest_report.write(tmp_path, [broken], [missed, found], command="selftest", made_with="x", unseen=3)
    text = path.read_text()
    assert "not kept: soak-memory, coin" in text
    assert "1 of 2 runs failed, and 1 named" in text
    assert "3 real runs that were planned have not been made" in text
    assert not missed.right
    assert found.right


def test_rates_that_cannot_be_exceeded_are_none_and_looser_ones_are_counted_as_such(tmp_path: Path) -> None:
    def trialled(kind: Kind, alpha: float) -> Trialled:
        shape = Shape(f"{kind} {alpha:g}", kind, lambda _rng: Status.INCONCLUSIVE, alpha=alpha)
        return Trialled("soak", "memory grows", "soak-memory", tally(shape, 5000))

    several = [trialled("null", 0.001), trialled("null", 0.02), trialled("effect", 0.01), trialled("effect", 1.0)]
    several.append(trialled("apart", 0.001))
    text = selftest_report.write(tmp_path, several, [], command="selftest", made_with="x", unseen=0).read_text()
    assert "kept by 3 of the 3 shapes that have one: 2 held to fail ≤ 0.001 or pass ≤ 0.01; 1 held to looser" in text
    assert "too few histories" not in text
    assert "No real server was tried." in text
    [row] = [line for line in text.splitlines() if line.startswith("| effect 1 ")]
    assert row.endswith("|  |  |")


def test_a_failure_that_names_another_cause_is_not_right() -> None:
    case = Case("soak", "fastapi", "leak-memory", expect=("memory-leak",))
    assert not Run(case, 0, Status.FAIL, ("fd-leak",), (), "", "0").right
    assert not Run(Case("soak", "fastapi"), 0, Status.INCONCLUSIVE, (), (), "", "0").right


def test_causes_that_were_not_planted_are_counted_apart(tmp_path: Path) -> None:
    case = Case("soak", "fastapi", "leak-memory", expect=("memory-leak",))
    runs = [
        Run(case, 0, Status.FAIL, ("memory-leak",), (), "", "0"),
        Run(case, 1, Status.FAIL, ("memory-leak", "fd-leak"), (), "", "0"),
    ]
    text = selftest_report.write(tmp_path, [], runs, command="selftest", made_with="x", unseen=0).read_text()
    assert "2 of 2 runs failed, and 2 named the cause" in text
    assert "; 1 named something else" in text
    assert "| memory-leak 2×, fd-leak 1× | 1 | 2 of 2 |" in text


def test_every_defect_and_every_scenario_gets_as_many_runs_as_asked_and_a_folder_that_tells_nothing() -> None:
    bad, good = Case("soak", "a", "leak-memory", expect=("memory-leak",)), Case("soak", "a")
    other, third = Case("soak", "b"), Case("skew", "a")
    planned = list(plan([bad, good, other, third], 2, 3))
    assert planned[:4] == [(bad, 0), (good, 0), (other, 0), (third, 0)]
    assert planned[4:] == [(bad, 1), (good, 1), (third, 1), (third, 2)]
    folders = {folder_of(Path("x"), case, number) for case, number in planned}
    assert len(folders) == len(planned)
    assert not any("leak" in str(folder) for folder in folders)


def test_what_was_promised_of_real_runs_and_not_kept_is_said() -> None:
    bad, good = Case("soak", "a", "leak-memory", expect=("memory-leak",)), Case("skew", "a")
    found = Run(bad, 0, Status.FAIL, ("memory-leak",), (), "", "0")
    fine = [Run(good, number, Status.PASS, (), (), "", "0") for number in range(9)]
    assert shortfalls([found, *fine, Run(good, 9, Status.INCONCLUSIVE, (), (), "", "0")]) == []
    assert shortfalls([Run(bad, 1, Status.PASS, (), (), "", "0")]) == [
        "soak on a, run 2: leak-memory was not found and named (pass)"
    ]
    assert shortfalls([*fine, Run(good, 9, Status.FAIL, (), (), "", "0")]) == [
        "skew on a, run 10: failed, and nothing harmful was planted"
    ]
    [told] = shortfalls([*fine[:8], *[Run(good, number, None, (), (), "gone", "0") for number in (8, 9)]])
    assert told.startswith("skew: 8 of 10 runs")


def test_trials_and_plantings_all_load_and_name_what_exists() -> None:
    known = {name for name, found in implementations("procedure").items() if found.module is not None}
    assert {trial.scenario for trial in trials().values()} <= known
    for case in cases():
        assert set(case.expect) <= set(CAUSES)
        plain = {key: value for key, value in case.settings.items() if not key.startswith("target.")}
        assert load_scenario(case.scenario, quick=True, overrides=plain).procedure in known
        load_target(case.target)


@pytest.mark.parametrize("name", sorted(trials()))
def test_every_decision_keeps_its_rates_in_a_few_histories(name: str) -> None:
    """A sample of what `proofload selftest` does at length; wrong here with a probability of about 1e-6 a shape."""
    trial: Trial = trials()[name]
    shapes = trial.shapes()
    assert len({shape.name for shape in shapes}) == len(shapes)
    for shape in shapes:
        seen = tally(shape, 20, seed=2)
        fails = seen.counts.get(Status.FAIL, 0)
        if shape.kind in {"null", "coverage"} and shape.alpha is not None:
            assert fails <= _most(20, shape.alpha), shape.name
        if shape.kind == "effect" and shape.detect is not None:
            assert 20 - fails <= _most(20, 1 - shape.detect), shape.name


def _most(n: int, rate: float) -> int:
    """More than this many of n come about with a probability below 1e-6 at this rate."""
    from scipy.stats import binom

    return int(np.asarray(binom.isf(1e-6, n, rate)).item())


def test_what_was_decided_is_not_decided_again_and_the_outcome_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = trials("kafka-delivery")

    def run(histories: int, file: str) -> dict[str, dict[Status, int]]:
        made = campaign(chosen, histories, seed=3, kept=tmp_path / file, told=lambda *_: None)
        return {one.tally.shape.name: one.tally.counts for one in made}

    whole = run(6, "a")
    lines = (tmp_path / "a").read_text().splitlines(keepends=True)
    (tmp_path / "b").write_text("".join(lines[:4]) + lines[4][:20])  # the first line is empty
    assert run(6, "b") == whole
    assert len((tmp_path / "b").read_text().splitlines()) == len(lines) + 1, "three were known, one was cut off"
    monkeypatch.setattr("proofload.selftest.campaign._fingerprint", lambda _: "changed")
    run(6, "a")
    assert len((tmp_path / "a").read_text().splitlines()) == 2 * len(lines) - 1, "other code decides afresh"


def test_an_invalid_run_is_made_again_and_its_attempts_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(real, "_run", lambda *_: None)
    monkeypatch.setattr(real, "stripped", lambda _: None)
    case = Case("soak", "a")
    for attempt in range(1, 4):
        real.record(tmp_path, case, 0, progress=PlainProgress(io.StringIO()), version="1")
        note = orjson.loads(folder_of(tmp_path, case, 0).with_suffix(".json").read_bytes())
        assert note["attempts"] == attempt
    invalid = Run(case, 0, Status.INVALID, (), ("send-lag",), "late", "1", attempts=2)
    assert real.again(invalid)
    assert not real.again(replace(invalid, attempts=real.ATTEMPTS))
    assert not real.again(replace(invalid, status=Status.INCONCLUSIVE))
