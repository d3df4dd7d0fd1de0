"""What a run says while it runs."""

from __future__ import annotations

import io

from rich.console import Console

from proofload.engine.recorder import Live, Told
from proofload.progress import LiveProgress, PlainProgress, Progress, milliseconds, progress_on, rate

LIVE = Live(due_rps=201, done_rps=199, p50_ms=1.234, p99_ms=None, not_ok=3, send_lag_ms=0.05)
TOLD = Told(total=402, ok=399, p50_ms=1.234, p99_ms=12.34)


def one_phase(progress: Progress) -> None:
    progress.message("starting fastapi")
    progress.phase_started("load", 200, 10)
    progress.tick(LIVE, left_s=4)
    progress.phase_done("load", TOLD, ran_s=2)
    progress.message("writing the report")


def test_a_pipe_gets_one_line_per_message_and_phase() -> None:
    stream = io.StringIO()
    one_phase(PlainProgress(stream))
    assert stream.getvalue().splitlines() == [
        "starting fastapi",
        "load: 200/s done, p50 1.23 ms  p99 12.3 ms, 3 not ok",
        "writing the report",
    ]


def test_a_terminal_keeps_what_is_finished_and_moves_one_line() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)
    with LiveProgress(console) as live:
        live.message("starting fastapi")
        assert "… starting fastapi" in shown(live)
        live.phase_started("load", 200, 10)
        assert "10 s left  200/s due" in shown(live)
        live.tick(LIVE, left_s=4)
        line = shown(live)
        for part in ("load", "4 s left", "201/s due", "199/s done", "p50 1.23 ms", "p99 —", "3 not ok", "lag 0.05 ms"):
            assert part in line
        live.phase_done("load", TOLD, ran_s=2)
    assert isinstance(console.file, io.StringIO)
    assert "✓ load  200/s done  p50 1.23 ms  p99 12.3 ms  3 not ok" in console.file.getvalue()


def test_names_with_brackets_are_no_markup() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)
    with LiveProgress(console) as live:
        live.message("starting [/red]")
        live.message("next")
    assert isinstance(console.file, io.StringIO)
    assert "starting [/red]" in console.file.getvalue()


def test_the_line_moves_only_where_there_is_a_terminal() -> None:
    with progress_on(Console(file=io.StringIO())) as progress:
        assert isinstance(progress, PlainProgress)
    with progress_on(Console(file=io.StringIO(), force_terminal=True)) as progress:
        assert isinstance(progress, LiveProgress)


def test_what_is_missing_is_not_zero() -> None:
    assert milliseconds(None) == "—"
    assert milliseconds(0.0) == "0 ms"
    assert (milliseconds(1234.5), milliseconds(0.0512)) == ("1,234 ms", "0.0512 ms")
    assert (rate(1240.4), rate(0.5)) == ("1,240/s", "0.5/s")


def shown(live: LiveProgress) -> str:
    console = Console(file=io.StringIO(), width=120, color_system=None)
    console.print(live.line())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
