"""What a run says, on the page as well; and where it hears that somebody pressed Stop."""

from __future__ import annotations

from time import monotonic

from proofload._locust.locust_process import LocustProcess
from proofload.engine.recorder import Live, Told
from proofload.progress import Progress


class OnThePage:
    """See `proofload.progress.Progress`. Ends the run as Ctrl-C does when it is to end before its plan."""

    def __init__(self, locust: LocustProcess, run: int, terminal: Progress, time_limit_s: float | None) -> None:
        self._locust = locust
        self._run = run
        self._terminal = terminal
        self._limit_s = time_limit_s
        self._begun = monotonic()
        self._said = ""
        self.ended = False
        """Whether it was ended so, and not by Ctrl-C in the lab's terminal."""

    def phase_started(self, name: str, rate_rps: float, duration_s: float) -> None:
        self._end_if_asked()
        self._terminal.phase_started(name, rate_rps, duration_s)

    def tick(self, live: Live, left_s: float) -> None:
        self._end_if_asked()
        self._say(f"sending, {left_s:.0f} s left")
        self._terminal.tick(live, left_s)

    def phase_done(self, name: str, told: Told, ran_s: float) -> None:
        self._terminal.phase_done(name, told, ran_s)

    def message(self, text: str) -> None:
        self._say(text)
        self._terminal.message(text)

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._locust.tell("doing", text=text)

    def _end_if_asked(self) -> None:
        if self.ended:  # it ends already
            return
        ran_s = monotonic() - self._begun
        late = self._limit_s is not None and ran_s > self._limit_s
        if late or self._locust.stopped == self._run:
            self.ended = True
            why = f"the time limit of {self._limit_s:g} s was over" if late else "stopped on Locust's page"
            raise KeyboardInterrupt(f"{why}, {ran_s:.0f} s after it was started")
