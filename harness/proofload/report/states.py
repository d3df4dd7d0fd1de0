"""The four states of a run and the five standings of a comparison. Each is told by a word, a symbol, a colour and a
line style, so that grey print and colour-blind eyes lose nothing. What is open never looks like a pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from proofload.records import Status
from proofload.verdict.comparison import Standing


@dataclass(frozen=True, slots=True)
class State:
    """How a status is shown. Ink on tint and on white has a contrast of at least 4.5 to 1."""

    word: str
    symbol: str
    ink: str
    tint: str
    border: str
    terminal: str
    """The style's name in rich."""


STATES: Mapping[Status | Standing, State] = MappingProxyType(
    {
        Status.PASS: State("pass", "✓", "#00573f", "#e3f4ee", "solid", "bold green"),
        Status.FAIL: State("fail", "✗", "#9c2f00", "#fdebe2", "double", "bold red"),
        Status.INCONCLUSIVE: State("inconclusive", "?", "#6b4700", "#fdf3d8", "dashed", "bold yellow"),
        Status.INVALID: State("invalid", "⊘", "#3d3d4a", "#ececf1", "dotted", "bold magenta"),
        Standing.BETTER: State("better", "✓", "#00573f", "#e3f4ee", "solid", "bold green"),
        Standing.EQUIVALENT: State("equivalent", "=", "#00573f", "#e3f4ee", "solid", "bold green"),
        Standing.WORSE: State("worse", "✗", "#9c2f00", "#fdebe2", "double", "bold red"),
        Standing.NOT_COMPARABLE: State("not comparable", "⊘", "#3d3d4a", "#ececf1", "dotted", "bold magenta"),
    }
)


def told(status: Status | Standing) -> str:
    """Symbol and word: "✓ pass"."""
    state = STATES[status]
    return f"{state.symbol} {state.word}"
