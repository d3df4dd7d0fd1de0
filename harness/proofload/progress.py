"""What a run says while it runs: one live line per phase on a terminal, one line per phase otherwise."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Protocol, Self

from proofload.report.numbers import short

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from proofload.engine.recorder import Live, Told


class Progress(Protocol):
    """Where a run reports. Called from the lab's own thread; cheap enough for several ticks a second."""

    def phase_started(self, name: str, rate_rps: float, duration_s: float) -> None: ...

    def tick(self, live: Live, left_s: float) -> None:
        """While a phase runs."""

    def phase_done(self, name: str, told: Told, ran_s: float) -> None:
        """The load of the phase, and how long it took."""

    def message(self, text: str) -> None:
        """What is going on now, in a few words: "starting fastapi"."""


class PlainProgress:
    """One line per message and per phase. For pipes and logs."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stderr

    def phase_started(self, name: str, rate_rps: float, duration_s: float) -> None:
        """Nothing: the phase says its line when it is done."""

    def tick(self, live: Live, left_s: float) -> None:
        """Nothing: a log wants no line that changes."""

    def phase_done(self, name: str, told: Told, ran_s: float) -> None:
        self.message(f"{name}: {', '.join(_outcome(told, ran_s))}")

    def message(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class LiveProgress:
    """One line that moves, on a terminal; what is finished scrolls up. Use as a context manager."""

    _BAR = 20

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console = console
        self._lock = threading.Lock()
        self._doing = ""
        self._since = time.monotonic()
        self._phase = ""
        self._duration_s = 0.0
        self._left_s = 0.0
        self._numbers = ""
        self._live = Live(
            get_renderable=self.line, console=console, transient=True, refresh_per_second=5, redirect_stdout=False
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def phase_started(self, name: str, rate_rps: float, duration_s: float) -> None:
        with self._lock:
            self._phase, self._duration_s, self._left_s = name, duration_s, duration_s
            self._numbers = f"{rate(rate_rps)} due"

    def tick(self, live: Live, left_s: float) -> None:
        with self._lock:
            self._left_s = max(0.0, left_s)
            self._numbers = "  ".join(
                (
                    f"{rate(live.due_rps)} due",
                    f"{rate(live.done_rps)} done",
                    percentiles(live.p50_ms, live.p99_ms),
                    f"{live.not_ok:,} not ok",
                    f"send lag {milliseconds(live.send_lag_ms)}",
                )
            )

    def phase_done(self, name: str, told: Told, ran_s: float) -> None:
        with self._lock:
            self._phase, self._doing, self._since = "", "", time.monotonic()
        self._print("  ".join((f"✓ {name}", *_outcome(told, ran_s))))

    def message(self, text: str) -> None:
        with self._lock:
            before, self._doing, self._since = self._doing, text, time.monotonic()
        if before:
            self._print(f"✓ {before}")

    def _print(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text(text, style="dim"), soft_wrap=True)

    def line(self) -> RenderableType:
        """What moves: the phase that runs, else what is being waited for."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        with self._lock:
            if not self._phase:
                waited = time.monotonic() - self._since
                return Text(
                    f"… {self._doing}  {waited:.0f} s" if self._doing else "", no_wrap=True, overflow="ellipsis"
                )
            line = Table.grid(padding=(0, 1))
            line.add_column(no_wrap=True)
            line.add_column(no_wrap=True)
            line.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
            share = 1 - self._left_s / self._duration_s if self._duration_s else 0.0
            bar = ProgressBar(total=1.0, completed=share, width=self._BAR)
            line.add_row(Text(self._phase), bar, Text(f"{self._left_s:.0f} s left  {self._numbers}"))
            return line


@contextmanager
def progress_on(console: Console) -> Iterator[Progress]:
    """Live where the console is a terminal, plain lines where it is not."""
    if console.is_terminal and not console.is_dumb_terminal:
        with LiveProgress(console) as live:
            yield live
    else:
        yield PlainProgress(console.file)


def _outcome(told: Told, ran_s: float) -> tuple[str, str, str]:
    done_rps = told.ok / max(ran_s, 1e-3)
    return f"{rate(done_rps)} done", percentiles(told.p50_ms, told.p99_ms), f"{told.total - told.ok:,} not ok"


def rate(value: float) -> str:
    """Requests per second, three figures: "1,240/s", "0.5/s"."""
    return f"{value:,.0f}/s" if value >= 100 else f"{short(value)}/s"


def milliseconds(value: float | None) -> str:
    """ "—" where there is none: missing is not 0."""
    if value is None:
        return "—"
    return f"{value:,.0f} ms" if value >= 100 else f"{short(value)} ms"


def percentiles(p50_ms: float | None, p99_ms: float | None) -> str:
    return f"p50 {milliseconds(p50_ms)}  p99 {milliseconds(p99_ms)}"
