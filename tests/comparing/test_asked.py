"""What a command line asks to be compared, and what it is told when it cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from proofload.comparing.asked import understood
from proofload.errors import InputError

Targets = Callable[..., list[str]]


def test_the_first_target_is_the_baseline_and_a_load_is_made_in_pairs_of_short_lifetimes(targets: Targets) -> None:
    asked = understood(targets("a", "b"), quick=True)
    assert asked.labels == ("a", "b")
    [load] = asked.situations
    assert load.paired
    assert (load.scenario.duration_s, load.scenario.warmup_s) == (2.0, 0.5)
    assert asked.settings.pairs == 12


def test_each_key_reaches_whom_it_names(targets: Targets) -> None:
    asked = understood(
        targets("a", "b"),
        ["load", "peak-10x"],
        settings=[
            "rate_rps=50",
            "slo.p99_ms=70",
            "peak-10x.hold_s=3",
            "target.response.rtol=0.5",
            "target2.name=other",
            "compare.margins.service_p50=0.1",
            "compare.lifetime_s=7",
        ],
        pairs=5,
    )
    load, peak = (one.scenario for one in asked.situations)
    assert (load.rate_rps, load.duration_s, load.slo.p99_ms) == (50, 7, 70)
    assert peak.slo.p99_ms == 70
    assert peak.model_dump()["hold_s"] == 3
    assert asked.labels == ("a", "other")
    assert [target.response.rtol for target in asked.situations[0].targets] == [0.5, 0.5]
    assert (asked.settings.pairs, asked.settings.margins.service_p50, asked.settings.margins.ok_share) == (5, 0.1, 0.01)


def test_a_length_that_is_set_is_kept(targets: Targets) -> None:
    [load] = understood(targets("a", "b"), settings=["duration_s=3"], quick=True).situations
    assert load.scenario.duration_s == 3


def test_a_target_may_be_compared_with_itself(targets: Targets) -> None:
    [name] = targets("a")
    assert understood([name, name]).labels == ("a", "a (2)")


def test_a_peak_or_a_budget_asks_for_the_capacity_and_says_that_it_was_not_asked_for(targets: Targets) -> None:
    names = targets("a", "b")
    for setting in ("cost.peak_rps=5000", "compare.budget_per_month=100", "compare.budget_per_million=1"):
        asked = understood(names, settings=[setting])
        assert [(one.scenario.procedure, one.asked_for) for one in asked.situations] == [
            ("load", True),
            ("capacity", False),
        ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"targets": ["a"]}, "at least two"),
        ({"settings": ["rate_rsp=5"]}, "rate_rsp"),
        ({"settings": ["compare.pears=5"]}, "pears"),
        ({"settings": ["target3.name=c"]}, "there are 2 targets"),
        ({"scenarios": ["skew"], "settings": ["reference='a.csv'", "serving='b.csv'"]}, "compares files"),
        ({"scenarios": ["laod"]}, "no scenario named"),
        ({"pairs": 2}, "pairs"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_started(
    targets: Targets, words: dict[str, list[str]], told: str
) -> None:
    names = targets("a", "b")
    asked = {"targets": names, **words}
    if "targets" in words:
        asked["targets"] = names[:1]
    with pytest.raises(InputError) as refused:
        understood(**asked)  # type: ignore[arg-type]
    assert told in refused.value.what


def test_two_scenarios_of_one_name_are_refused_for_their_run_folders_would_be_the_same(
    targets: Targets, tmp_path: Path
) -> None:
    heavy = tmp_path / "heavy" / "steady.scenario.toml"
    for path, rate_rps in ((tmp_path / "steady.scenario.toml", 20), (heavy, 200)):
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'procedure = "load"\nrate_rps = {rate_rps}\n')
    with pytest.raises(InputError, match="the name steady") as refused:
        understood(targets("a", "b"), ["steady.scenario.toml", "heavy/steady.scenario.toml"])
    assert "heavy/steady.scenario.toml" in refused.value.evidence
    heavy.write_text(f'name = "heavy"\n{heavy.read_text()}')
    asked = understood(targets("a", "b"), ["steady.scenario.toml", "heavy/steady.scenario.toml"])
    assert [one.scenario.name for one in asked.situations] == ["steady", "heavy"]


def test_the_digest_tells_comparisons_apart_by_what_a_lifetime_depends_on(targets: Targets) -> None:
    names = targets("a", "b")
    first = understood(names).digest
    assert first == understood(names).digest
    assert len({first, understood(names, pairs=8).digest, understood(names, settings=["rate_rps=9"]).digest}) == 3
    assert understood(names, settings=["target2.response.rtol=0.1"]).digest != first


def test_a_payload_file_that_was_edited_makes_another_comparison(targets: Targets, tmp_path: Path) -> None:
    names = targets("a", "b")
    first = understood(names).digest
    (tmp_path / "payloads.jsonl").write_text('{"body": {"value": 1}, "expect": 3}\n')
    assert understood(names).digest != first
