"""shadow: copies of users' requests go to the second version; nobody waits for its answers, and nobody may notice.

Blocks with and without mirroring alternate, so that what mirroring does to the users can be told from what the day
does to them. The second version is judged by its answers to the copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from proofload.clock import NS_PER_S
from proofload.engine.client import Stretch
from proofload.procedures import Bench, Circumstances, Evidence, Findings
from proofload.procedures._rollout.moving import BASELINE, deployed
from proofload.procedures._rollout.settings import RolloutSettings
from proofload.procedures._rollout.versions_judging import (
    all_valid,
    does_not_serve,
    keeps_slo,
    measured,
    pooled,
    stays_up,
)
from proofload.procedures._shadow.findings import (
    CHECKS,
    Blocks,
    checks_of,
    details_of,
    found_by,
    headline_of,
    summaries_of,
)
from proofload.records import Phase, Status
from proofload.scenarios import Positive, Scenario, Share
from proofload.verdict.shadow import Tolerance

STARTS_ITS_TARGETS = True
PLAIN, MIRRORED = "plain", "mirrored"
FEWEST_PAIRS = 8


class Settings(RolloutSettings):
    """The keys of shadow."""

    pairs: Annotated[int, Field(ge=FEWEST_PAIRS, le=500)] = 30
    """So many blocks with and so many without mirroring, over `duration_s`."""
    disagreement: Share = 0.001
    """The share of answers that may differ from the primary's."""
    slower: Positive = 0.2
    slower_ms: Positive = 1.0
    """A median may be slower by this share, and by so many milliseconds."""
    tail_share: Share = 0.005
    """So much more of the answers may take three times the p99."""
    failed_share: Share = 0.005
    """So much more of the requests may fail."""

    @property
    def mirrored_share(self) -> float:
        return 1.0 if self.mirror == "auto" else self.mirror

    @property
    def tolerance(self) -> Tolerance:
        return Tolerance(self.slower, self.slower_ms, self.tail_share, self.failed_share)


def create() -> Shadow:
    return Shadow()


class Shadow:
    """See `proofload.procedures.Procedure`."""

    def peak_rps(self, scenario: Scenario) -> float:
        return 4.0 * scenario.rate_rps

    def conduct(self, bench: Bench, scenario: Scenario) -> None:
        settings = _own(scenario)
        with deployed(bench, settings) as rollout:
            if rollout is None:
                return
            with bench.loading(*_blocks(settings)) as running:
                end_ns = running.start_ns + round(settings.duration_s * NS_PER_S)
                trip = rollout.watch(running, end_ns)
                if trip is not None:
                    rollout.roll_back(trip)
                    running.cut()

    def judge(self, evidence: Evidence, scenario: Scenario) -> Findings:
        settings = _own(scenario)
        up = stays_up(evidence)
        kinds = {kind: _of_kind(evidence.phases, kind) for kind in (PLAIN, MIRRORED)}
        if not all(kinds.values()):
            nothing = Findings.nothing(evidence)
            return nothing if up.status is not Status.FAIL else Findings((), (up,), (), headline=(up.evidence,))
        parts = {kind: [(phase, evidence.samples(phase.index)) for phase in phases] for kind, phases in kinds.items()}
        around = Circumstances.of(evidence)
        judged = {kind: measured(*pooled(kind, part), settings, around) for kind, part in parts.items()}
        found = found_by(
            Blocks.of(parts[PLAIN], parts[MIRRORED]),
            settings.tolerance,
            disagreement=settings.disagreement,
            alpha_fail=settings.alpha_fail,
            alpha_pass=settings.alpha_pass,
        )
        served = [*parts[PLAIN], *parts[MIRRORED]]
        slo = keeps_slo(served, BASELINE, settings, around, alpha_fail=settings.alpha_fail / CHECKS)
        checks = (up, *checks_of(found), *slo)
        return Findings(
            phases=summaries_of(judged, parts[MIRRORED], settings.timeout_s),
            checks=checks,
            validity=all_valid(judged),
            client=judged[MIRRORED].health,
            headline=(*does_not_serve(slo, checks), *headline_of(found, checks)),
            details=details_of(found),
        )


def _blocks(settings: Settings) -> list[Stretch]:
    """Pairs in an order drawn by the seed: neither kind is always the first."""
    each_s = settings.duration_s / (2 * settings.pairs)
    first = np.random.default_rng(settings.seed).permutation(np.arange(settings.pairs) % 2)
    blocks: list[Stretch] = []
    for pair, turned in enumerate(first):
        kinds = (MIRRORED, PLAIN) if turned else (PLAIN, MIRRORED)
        for kind in kinds:
            blocks.append(
                Stretch(
                    name=f"{kind} {pair + 1}",
                    rate_rps=settings.rate_rps,
                    duration_s=each_s,
                    arrival=settings.arrival,
                    seed=settings.seed * 1000 + len(blocks) + 10,
                    measured=False,
                    mirror=settings.mirrored_share if kind == MIRRORED else 0.0,
                )
            )
    return blocks


def _of_kind(phases: Sequence[Phase], kind: str) -> list[Phase]:
    return [phase for phase in phases if phase.name.startswith(f"{kind} ") and phase.planned > 0]


def _own(scenario: Scenario) -> Settings:
    assert isinstance(scenario, Settings)
    return scenario
