"""The picture an engineer would draw on a whiteboard, one file a procedure, found by discovery.

A module named like its procedure (`peak_10x` for `peak-10x`) defines `create() -> Experiment`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from proofload.records import Result
from proofload.report.document import Block

if TYPE_CHECKING:
    from proofload.report.sections.page import Page
    from proofload.report.view import Recorded, RunView


class Experiment(Protocol):
    @property
    def title(self) -> str:
        """Heading of the section: "Memory over time"."""

    def reduce(self, record: Recorded, result: Result) -> Any:
        """What the section needs of the run folder (readings, samples, events), small enough to keep. It
        stands in `RunView.experiment`. What `result.details` holds need not be repeated."""

    def blocks(self, page: Page, run: RunView, place: int) -> tuple[Block, ...]:
        """Pictures first, then tables. `place` is the run's number on the page: part of every picture's key."""
