"""Report formats, one file each, found by discovery. A module defines

create() -> Format
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from proofload.report.view import RunView


class Format(Protocol):
    suffix: str
    """What a file of this format ends in, with the dot."""

    def render(self, runs: Sequence[RunView]) -> str:
        """The whole report as text. The same runs give the same bytes. Raises InputError for no runs."""
