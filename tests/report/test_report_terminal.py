"""What a run leaves on the screen."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from rich.console import Console

from proofload.report.terminal import closing_table


def shown(results: list[Any]) -> str:
    out = io.StringIO()
    Console(file=out, width=160, color_system=None).print(closing_table(results))
    return out.getvalue()


def test_one_run_shows_its_sentences_and_each_check(make_run: Callable[..., Any]) -> None:
    text = shown([make_run("flask", procedure="load").result])
    assert text.startswith("flask holds 50")
    assert "✓ pass" in text
    assert "p99 ≤ 120 ms" in text


def test_several_runs_show_a_ranking_and_a_row_each(make_run: Callable[..., Any], empty_run: Any) -> None:
    text = shown([make_run("flask").result, make_run("grpc", invalid=True).result, empty_run.result])
    assert "Only flask has a confirmed rate" in text
    assert "⊘ invalid" in text
    assert "? inconclusive" in text
    assert "unpriced" in text


def test_hostile_names_are_not_markup(make_run: Callable[..., Any]) -> None:
    assert "[bold]x[/bold]" in shown([make_run("[bold]x[/bold]").result])
    assert "\x1b[31m" not in shown([make_run("a\x1b[31mb").result])


def test_nothing_is_said_of_no_runs() -> None:
    assert shown([]).strip() == "no run has ended"
