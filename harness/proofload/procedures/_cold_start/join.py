"""A second instance joins while the first one serves, as when a fleet scales out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proofload.engine.client import Stretch
from proofload.procedures import Bench
from proofload.procedures._cold_start.restarting import Start

if TYPE_CHECKING:
    from proofload.procedures._cold_start.settings import Settings

PHASE = "second instance joins"
ALONE_SHARE = 0.2
"""Part of `joining_s` before the second instance is started."""


def join(bench: Bench, scenario: Settings, start: Start) -> None:
    """Notes "join" events: starting, joined (or failed: why). Half of the traffic is the second one's from then on."""
    if not start.can_have_a_second:
        bench.note("join", what="impossible", why="its url has no {port}, so two instances cannot be up at once")
        return
    before_s = ALONE_SHARE * scenario.joining_s
    patience_s = scenario.ready_limit_s * scenario.patience
    longest_s = before_s + patience_s + scenario.joining_s
    stretch = Stretch(
        PHASE, scenario.rate_rps, longest_s, arrival=scenario.arrival, seed=scenario.seed + 7, measured=False
    )
    bench.split({0: 1.0})
    with bench.loading(stretch) as running:
        running.wait(before_s)
        bench.note("join", what="starting")
        arrival = start(1)
        if arrival.problem is not None:
            bench.note("join", what="failed", why=arrival.problem.what, died=arrival.died)
        else:
            bench.split({0: 0.5, 1: 0.5})
            bench.note("join", what="joined", timeline=dict(arrival.timeline))
            running.wait(scenario.joining_s - before_s)
        running.cut()
    bench.split({0: 1.0})
    if arrival.problem is None:
        bench.stop(1)
