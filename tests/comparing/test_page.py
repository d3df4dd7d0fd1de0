"""The page a team decides from: it answers first, leaves nothing out unseen, and obeys no hostile name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proofload.cli.app import invoke
from proofload.comparing.found import Comparison
from proofload.records import Status
from proofload.report.decision.words import percent


@pytest.fixture
def folder(lab: Any, targets: Callable[..., list[str]], tmp_path: Path) -> Path:
    """A comparison that was made and told."""
    lab.medians = {"b": 4.6, "c": 4.0}
    lab.statuses = {}
    words = ["compare", "--quick", "--pairs", "8", "--set", "rate_rps=100", "--set", "slo.p99_ms=50"]
    for name in targets("a", "b", "c"):
        words += ["--target", name]
    assert invoke([*words, "--out", str(tmp_path / "out"), "--json", str(tmp_path / "found.json")]) == 1
    return tmp_path / "out"


def test_the_page_answers_first_and_says_what_it_does_not_say(folder: Path) -> None:
    page = (folder / "comparison.html").read_text(encoding="utf-8")
    assert page.index("b is worse than a: its median service time differs by +1") < page.index("What was required")
    for title in ("Pair by pair", "Ranking", "What was not measured", "Every lifetime", "Reproduce it"):
        assert title in page
    assert "not comparable" not in page
    assert page.count("<svg") >= 1
    assert "<script" not in page
    assert re.search(r'(?:src|href)="(?!#)', page) is None, "nothing is loaded from elsewhere"


def test_markdown_and_json_say_the_same(folder: Path) -> None:
    text = (folder / "comparison.md").read_text(encoding="utf-8")
    found = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    assert found["schema"] == "proofload.comparison/1"
    assert found["standing"] == "worse"
    assert {one["label"]: one["standing"] for one in found["targets"]} == {"a": None, "b": "worse", "c": "equivalent"}
    assert "✗ worse" in text
    assert "= equivalent" in text
    for sentence in found["headline"]:
        assert sentence.split(" (")[0].replace("_", "") in text.replace("\\", "").replace("_", "")
    [service] = [one["metrics"][0] for one in found["comparisons"] if one["candidate"] == "b"]
    assert len(service["pairs"]) == 8
    assert found["lifetimes"]["planned"] == found["lifetimes"]["valid"] == 24
    assert json.loads((folder.parent / "found.json").read_text()) == found


def test_hostile_text_of_a_target_is_shown_and_not_obeyed(
    lab: Any, targets: Callable[..., list[str]], tmp_path: Path
) -> None:
    from dataclasses import replace

    from proofload.comparing.asked import understood
    from proofload.comparing.judging import judged
    from proofload.comparing.running import begin, make
    from proofload.progress import PlainProgress
    from proofload.report.decision.page import decision_document
    from proofload.report.formats import html, md

    asked = understood(targets("a", "b"), settings=["rate_rps=100"], pairs=3, quick=True)
    begin(asked, tmp_path / "out", command="proofload compare '<script>alert(1)</script>'")
    make(asked, tmp_path / "out", command="", progress=PlainProgress())
    found: Comparison = judged(asked, tmp_path / "out")
    hostile = "<script>alert(1)</script>|`x`![i](http://evil.example/i.png)"
    found = replace(found, environment={"cpu": hostile}, not_measured=(hostile,))
    document = decision_document(found)
    page, text = html.page(document), md.page(document)
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert(1)</script>|" not in text


def test_a_comparison_of_nothing_has_a_page_that_says_so(
    lab: Any, targets: Callable[..., list[str]], tmp_path: Path
) -> None:
    from proofload.comparing.asked import understood
    from proofload.comparing.judging import judged
    from proofload.comparing.running import begin
    from proofload.report.decision.page import decision_document
    from proofload.report.decision.terminal import closing
    from proofload.report.formats import html

    asked = understood(targets("a", "b"), pairs=3)
    begin(asked, tmp_path / "out", command="")
    found = judged(asked, tmp_path / "out")
    assert str(found.standing) == "not-comparable"
    assert {one.status for option in found.options for one in option.requirements} == {Status.INCONCLUSIVE}
    assert "cannot be compared" in html.page(decision_document(found))
    assert closing(found) is not None


@pytest.mark.parametrize(
    ("factor", "text"), [(1.152, "+15.2 %"), (0.9, "−10.0 %"), (1.0, "0 %"), (1.0042, "+0.42 %"), (3.5, "+250 %")]
)
def test_a_factor_is_told_as_a_change(factor: float, text: str) -> None:
    assert percent(factor) == text
