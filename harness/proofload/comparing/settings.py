"""The comparison's own keys, `--set compare.KEY=VALUE`: how many pairs, what matters, and what it may cost."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field

from proofload.analysis.pairs import FEWEST
from proofload.scenarios import Alpha, Positive, Seconds
from proofload.toml_input import Table

Margin = Annotated[float, Field(gt=0, le=10)]


class Margins(Table):
    """By how much an option may be worse before that matters, as shares."""

    service_p50: Margin = 0.05
    latency_p99: Margin = 0.25
    ok_share: Margin = 0.01


class Comparing(Table):
    """See the module. Times in seconds."""

    pairs: Annotated[int, Field(ge=FEWEST, le=200)] = 12
    """Lifetimes of each target under the load that is compared in pairs; fixed before the first."""
    lifetime_s: Seconds = 15.0
    """Load that counts in each of them, in place of the scenario's `duration_s`."""
    warmup_s: Annotated[float, Field(ge=0, le=3600)] = 1.0
    """Load before it that does not count."""
    alpha: Alpha = 0.01
    """The rate at which any interval of the whole comparison may miss: all metrics, all candidates together."""
    margins: Margins = Field(default_factory=Margins)
    again: Annotated[int, Field(ge=0, le=10)] = 4
    """How often a lifetime that came out invalid or damaged is made again: on a busy machine half of the short ones are
    invalid."""
    budget_per_month: Positive | None = None
    """For the fleet that the peak (`cost.peak_rps`) needs, in the currency of the price table."""
    budget_per_million: Positive | None = None
    """For a million correct predictions."""


QUICK: Mapping[str, Any] = MappingProxyType({"lifetime_s": 2.0, "warmup_s": 0.5})
"""What `--quick` replaces. The pairs stay: they are what an interval is made of."""
