"""From run folders to standings, requirements, costs and what was not measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proofload.comparing.asked import understood
from proofload.comparing.found import Comparison
from proofload.comparing.judging import judged
from proofload.comparing.pricing import at_capacity
from proofload.comparing.requirements import budgets_kept, dispersion
from proofload.comparing.running import begin, make
from proofload.comparing.settings import Comparing
from proofload.progress import PlainProgress
from proofload.records import Capacity, Cost, Interval, Result, Status
from proofload.report.decision.page import decision_document
from proofload.report.decision.situations import glance
from proofload.report.decision.words import answer
from proofload.report.formats import md
from proofload.scenarios import load_scenario
from proofload.verdict.comparison import exit_code

PRICES = {
    "vcpu-hour": {
        "low": 0.05, "high": 0.1, "currency": "USD", "unit": "hour", "region": "x", "date": "2026", "source": "test"
    }
}  # fmt: skip


@pytest.fixture
def compared(lab: Any, targets: Callable[..., list[str]], tmp_path: Path) -> Callable[..., Comparison]:
    """Makes and judges a comparison of targets a, b, … on the fake lab."""

    def run(*names: str, pairs: int = 8, scenarios: Sequence[str] = (), settings: Sequence[str] = ()) -> Comparison:
        asked = understood(
            targets(*names), scenarios, settings=["rate_rps=100", "slo.p99_ms=50", *settings], pairs=pairs, quick=True
        )
        folder = tmp_path / "-".join(names)
        begin(asked, folder, command="proofload compare")
        make(asked, folder, command="proofload compare", progress=PlainProgress())
        return judged(asked, folder)

    return run


def test_a_server_and_itself_are_equivalent(compared: Callable[..., Comparison]) -> None:
    found = compared("a", "b")
    assert str(found.standing) == "equivalent"
    assert [label for label, apart in found.ranking if apart] == []


def test_fifteen_percent_longer_is_worse_and_fifteen_percent_shorter_better(
    lab: Any, compared: Callable[..., Comparison]
) -> None:
    lab.medians = {"b": 4.6, "c": 3.4}
    found = compared("a", "b", "c")
    by = {one.label: str(one.standing) for one in found.options}
    assert by == {"a": "None", "b": "worse", "c": "better"}
    [service] = [one.metrics[0] for one in found.besides if one.candidate == "b"]
    assert service.factor == pytest.approx(1.15, rel=0.02)
    assert service.interval.low is not None
    assert service.interval.low > 1.05
    assert found.ranking[0] == ("c", False)
    assert [apart for _, apart in found.ranking[1:]] == [True, True]
    assert str(found.standing) == "worse", "one candidate that is worse makes the exit code"


def test_options_that_were_asked_different_things_are_not_compared(
    lab: Any, compared: Callable[..., Comparison]
) -> None:
    lab.payloads = {"b": 17}
    found = compared("a", "b")
    assert str(found.standing) == "not-comparable"
    assert "asked different things" in found.besides[0].metrics[0].because


def test_payloads_of_the_same_number_and_size_are_told_apart_by_their_content(
    lab: Any, compared: Callable[..., Comparison]
) -> None:
    lab.bodies = {"load-05-b-b": "1" * 64}
    found = compared("a", "b")
    assert str(found.standing) == "not-comparable"
    assert "SHA-256 000000000000" in found.besides[0].metrics[0].because


def test_with_half_of_the_pairs_lost_nothing_is_compared(lab: Any, compared: Callable[..., Comparison]) -> None:
    lab.invalid = {f"load-0{pair}-b-b{again}" for pair in range(1, 6) for again in ("", ".2", ".3", ".4", ".5")}
    found = compared("a", "b")
    assert str(found.standing) == "not-comparable"
    assert found.besides[0].metrics[0].because == "3 of 8 pairs came about"
    assert len(found.conservation.lost) == 5


def test_a_p99_that_short_lifetimes_cannot_show_is_told_and_not_waited_for(compared: Callable[..., Comparison]) -> None:
    found = compared("a", "b")
    tail = found.besides[0].metrics[1]
    assert not tail.required
    assert any("p99 latency" in text and "2,000" in text for text in found.not_measured)


def test_requirements_are_judged_over_all_lifetimes_together(lab: Any, compared: Callable[..., Comparison]) -> None:
    lab.medians = {"b": 60.0}
    found = compared("a", "b", pairs=12, settings=["slo.ok_share=0.99"])
    kept = {one.label: {each.name: each.status for each in one.requirements} for one in found.options}
    assert kept["a"]["p99 ≤ 50 ms"] is Status.PASS
    assert kept["b"]["p99 ≤ 50 ms"] is Status.FAIL
    assert found.options[0].meets is Status.PASS
    assert found.options[1].meets is Status.FAIL


def test_the_limits_of_every_load_are_judged_and_named_by_it(
    lab: Any, compared: Callable[..., Comparison], tmp_path: Path
) -> None:
    """What a load that is easy to bear shows says nothing of one that is not."""
    for name in ("easy", "strict"):
        (tmp_path / f"{name}.scenario.toml").write_text('procedure = "load"\n')
    scenarios = ["easy.scenario.toml", "strict.scenario.toml"]
    found = compared("a", "b", scenarios=scenarios, settings=["strict.slo.p99_ms=3"])
    for option in found.options:
        kept = {one.name: one.status for one in option.requirements}
        assert list(kept) == ["easy: p99 ≤ 50 ms", "easy: ≥ 99.9 % ok", "strict: p99 ≤ 3 ms", "strict: ≥ 99.9 % ok"]
        assert kept["strict: p99 ≤ 3 ms"] is Status.FAIL
        assert option.meets is Status.FAIL
    assert found.requires == (
        "easy: p99 ≤ 50 ms, ≥ 99.9 % ok at 100/s",
        "strict: p99 ≤ 3 ms, ≥ 99.9 % ok at 100/s",
    )
    assert found.p99_limit_ms == 50
    assert any(text.startswith("Any rate but 100 requests/s") for text in found.not_measured)


def test_without_a_confirmed_rate_a_budget_is_not_kept(compared: Callable[..., Comparison]) -> None:
    found = compared("a", "b", pairs=3, settings=["cost.peak_rps=100", "compare.budget_per_month=5"])
    for option in found.options:
        [budget] = [one for one in option.requirements if "a month" in one.name]
        assert budget.status is Status.INCONCLUSIVE
        assert option.meets is not Status.PASS
    assert [one.scenario for one in found.once] == ["capacity", "capacity"]
    assert "at most 5 a month" in found.requires


def test_a_candidate_that_fails_where_the_baseline_passes_is_worse(
    lab: Any, compared: Callable[..., Comparison]
) -> None:
    lab.statuses = {"peak-10x-a-a": Status.PASS, "peak-10x-b-b": Status.FAIL}
    found = compared("a", "b", scenarios=["load", "peak-10x"], settings=["peak-10x.rate_rps=10"])
    assert str(found.standing) == "worse"
    assert {one.option: one.status for one in found.once} == {"a": Status.PASS, "b": Status.FAIL}
    assert not any("ten times" in text for text in found.not_measured)


def test_two_that_fail_are_not_called_equivalent_and_two_that_pass_are_said_to(
    lab: Any, compared: Callable[..., Comparison]
) -> None:
    lab.statuses = dict.fromkeys(("peak-10x-a-a", "peak-10x-b-b"), Status.FAIL)
    settings = ["peak-10x.rate_rps=10"]
    found = compared("a", "b", scenarios=["load", "peak-10x"], settings=settings)
    assert (str(found.standing), exit_code([found.standing])) == ("inconclusive", 3)
    assert "in peak-10x both fail" in answer(found)[0]
    assert "equivalent" not in answer(found)[0]
    lab.statuses = dict.fromkeys(("peak-10x-a-c", "peak-10x-b-d"), Status.PASS)
    found = compared("c", "d", scenarios=["peak-10x"], settings=settings)
    assert exit_code([found.standing]) == 0
    assert answer(found)[0] == "d and c have the same verdicts: in peak-10x both pass; one run of each says no more."
    assert [row[:3] for row in glance(found).rows] == [("c", "the baseline", "none"), ("d", "equivalent", "none")]


def test_what_both_fail_is_no_reason_for_being_equivalent(lab: Any, compared: Callable[..., Comparison]) -> None:
    lab.statuses = dict.fromkeys(("capacity-a-a", "capacity-b-b"), Status.FAIL)
    found = compared("a", "b", settings=["compare.budget_per_million=1"])
    assert str(found.standing) == "equivalent", "capacity was added for the budget's sake, and not asked for"
    assert "both fail" not in answer(found)[0]


@pytest.mark.parametrize(
    ("baseline", "candidate", "standing"), [("pass", "fail", "worse"), ("fail", "pass", "equivalent")]
)
def test_a_run_that_was_added_for_a_budget_counts_where_it_is_worse_and_only_there(
    lab: Any, compared: Callable[..., Comparison], baseline: str, candidate: str, standing: str
) -> None:
    lab.statuses = {"capacity-a-a": Status(baseline), "capacity-b-b": Status(candidate)}
    found = compared("a", "b", settings=["compare.budget_per_million=1"])
    assert str(found.standing) == standing
    assert ("in capacity it fails where the baseline passes" in answer(found)[0]) is (standing == "worse")
    assert "it passes where the baseline fails" not in answer(found)[0], "that makes it no equal"


def test_a_run_that_was_added_for_a_budget_is_no_reason_for_what_is_open(
    lab: Any, compared: Callable[..., Comparison]
) -> None:
    lab.medians = {"b": 4.2}  # about the margin
    lab.statuses = dict.fromkeys(("capacity-a-a", "capacity-b-b"), Status.FAIL)
    found = compared("a", "b", settings=["compare.budget_per_million=1"])
    assert str(found.standing) == "inconclusive"
    assert "capacity" not in answer(found)[0]


def test_what_was_not_measured_is_said(compared: Callable[..., Comparison]) -> None:
    told = " ".join(compared("a", "b").not_measured)
    for scenario in ("capacity", "peak-10x", "cold-start", "canary-rollback", "soak"):
        assert f"--scenario {scenario}" in told


def test_what_is_rolled_out_onto_itself_says_nothing_of_a_rollback(
    lab: Any, compared: Callable[..., Comparison], targets: Callable[..., list[str]]
) -> None:
    lab.statuses = {f"canary-rollback-{letter}-{name}": Status.PASS for letter, name in ("aa", "bb", "ac", "bd")}
    found = compared("a", "b", scenarios=["canary-rollback"])
    assert [one.onto_itself for one in found.once] == [True, True]
    assert any("taken back: each was rolled out onto itself" in text for text in found.not_measured)
    page = md.page(decision_document(found))
    assert "rolled out onto itself" in page
    assert "rolled out and back" in page.partition("Not measured: ")[2], "and nowhere before"
    assert "olled out and back" not in page.partition("Not measured: ")[0]
    [other] = targets("v2")
    found = compared("c", "d", scenarios=["canary-rollback"], settings=[f"canary-rollback.canary='{other}'"])
    assert [(one.onto_itself, one.canary) for one in found.once] == [(False, "v2")] * 2
    assert not any("taken back" in text for text in found.not_measured)


def test_a_process_that_is_visited_again_and_again_is_no_fresh_lifetime(
    lab: Any, compared: Callable[..., Comparison]
) -> None:
    assert not any("running already" in text for text in compared("a", "b", pairs=3).not_measured)
    lab.runtime = "external"
    assert any("running already" in text for text in compared("c", "d", pairs=3).not_measured)


def test_the_fleet_for_a_peak_costs_what_capacity_allows() -> None:
    scenario = load_scenario("capacity", overrides={"cost.peak_rps": 1000, "cost.utilisation": 0.5, "cost.spare": 1})
    inputs = {"resources": {"vcpu-hour": 2.0}, "prices": PRICES}
    cost = Cost(1.0, Interval(0.8, 1.2), "USD", priced=True, detail="", inputs=inputs)
    price = at_capacity(_result(Capacity(400.0, Interval(380.0, 420.0), True, (), None), cost), scenario)
    assert price is not None
    assert price.instances == Interval(6.0, 7.0)  # 1000 ÷ 210 and 1000 ÷ 190, rounded up, and one to spare
    assert price.per_month.low == pytest.approx(6 * 0.10 * 730)
    assert price.per_month.high == pytest.approx(7 * 0.20 * 730)


@pytest.mark.parametrize("status", [Status.FAIL, Status.INVALID, Status.INCONCLUSIVE])
def test_a_rate_of_a_run_that_did_not_pass_has_no_price(status: Status) -> None:
    scenario = load_scenario("capacity", overrides={"cost.peak_rps": 1000})
    inputs = {"resources": {"vcpu-hour": 2.0}, "prices": PRICES}
    cost = Cost(1.0, Interval(0.8, 1.2), "USD", priced=True, detail="", inputs=inputs)
    passed = _result(Capacity(400.0, Interval(380.0, 420.0), True, (), None), cost)
    assert at_capacity(passed, scenario) is not None
    price = at_capacity(replace(passed, status=status), scenario)
    assert price is None
    [budget] = budgets_kept(price, Comparing(budget_per_month=10_000), 1000.0)
    assert (budget.status, budget.evidence) == (Status.INCONCLUSIVE, "no run that passed confirmed a rate")


def test_a_capacity_run_that_did_not_pass_is_told_as_not_measured(
    lab: Any, compared: Callable[..., Comparison]
) -> None:
    lab.statuses = {"capacity-a-a": Status.PASS, "capacity-b-b": Status.FAIL}
    told = [one for one in compared("a", "b", pairs=3, scenarios=["load", "capacity"]).not_measured if "costs" in one]
    assert told == ["What b can carry, and what that costs: its run of capacity ended as fail."]


def test_a_rate_that_was_not_confirmed_has_no_price() -> None:
    cost = Cost(None, Interval(None, None), "USD", priced=False, detail="")
    capacity = Capacity(400.0, Interval(None, None), False, (), None)
    assert at_capacity(_result(capacity, cost), load_scenario("capacity")) is None


def test_counts_that_differ_between_lifetimes_widen_what_they_mean() -> None:
    assert dispersion([0, 0, 0], [100, 100, 100]) == 1.0
    assert dispersion([5, 5, 5, 5], [100] * 4) == 1.0
    assert dispersion([20, 0, 0, 0], [100] * 4) > 10


def _result(capacity: Capacity, cost: Cost) -> Result:
    return Result(
        scenario="capacity", procedure="capacity", target={"name": "a"}, status=Status.PASS, validity=(), checks=(),
        phases=(), client=None, cost=cost, environment={}, command="", started_at="", duration_s=1.0, capacity=capacity,
    )  # fmt: skip
