"""The lab tried on itself: does it find what was planted, and leave alone what is healthy?

Two levels. *Trials* put thousands of simulated histories before a decision function of `analysis/` or
`verdict/`; *plantings* put real servers with a planted defect, or without one, before whole scenarios.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from proofload.records import Status

Kind = Literal["null", "effect", "apart", "coverage"]


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of history, and what may be expected of a decision about it.

    kind "null": harmless; at most `alpha` of the decisions may be `fail`. "effect": harmful at `magnitude`
    (in units of the margin); at least `detect` of them must be `fail`, where `detect` is given, and at most
    `alpha` may be `pass`. "coverage": `decide` returns pass where an interval covered the truth, fail where it
    did not; at most `alpha` may be `fail`. "apart": not identifiable in a quick run (methods.md says so):
    reported, never asserted; `why` says why.
    """

    name: str
    kind: Kind
    decide: Callable[[np.random.Generator], Status]
    """Makes one history from the generator and decides about it. A few milliseconds at most."""
    alpha: float | None = None
    magnitude: float | None = None
    detect: float | None = None
    curve: str = ""
    """Shapes of one curve name are drawn as one detection curve over their magnitudes."""
    why: str = ""


class Trial(Protocol):
    """One decision function under trial. A module of `selftest.trials` defines `create() -> Trial`."""

    @property
    def scenario(self) -> str:
        """The scenario whose verdict it serves: "soak"."""

    @property
    def decides(self) -> str:
        """What it decides, for the report: "memory grows without end"."""

    def shapes(self) -> Sequence[Shape]: ...


@dataclass(frozen=True, slots=True)
class Case:
    """One real run of the self-test: a scenario against a server with a planted defect, or a healthy one."""

    scenario: str
    target: str
    fault: str = ""
    """As `--fault` takes it: "leak-memory" or "leak-memory:bytes=65536"; empty: healthy. In rollouts it is the
    canary that has it, unless `everywhere`."""
    expect: tuple[str, ...] = ()
    """Causes (`proofload.verdict.causes`) of which a failed check must name one; empty: the run must pass."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Scenario keys in place of the quick ones, as `--set` takes them."""
    everywhere: bool = False
    windows_s: float = 0.0
    """Recorded once, for longer than a quick run; then each window of this length is judged by itself. 0: a run."""
    note: str = ""
