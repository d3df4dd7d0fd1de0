"""How drift is told to Prometheus: gauges that are absent until there is something to tell.

All have labels, because a series without any is exported as 0 from the start, which would read as "no drift".
Over several worker processes the worst worker's value counts.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

POSITIVE = "positive"


class DriftGauges:
    """`of` is "score" or the name of a feature. Shares run from 0 to 1."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, label: str) -> Gauge:
            return Gauge(f"proofload_{name}", text, (label,), registry=registry, multiprocess_mode="livemax")

        self._watched = Counter(
            "proofload_watched_predictions_total", "Predictions that were looked at for drift", registry=registry
        )
        self._psi = gauge("drift_psi", "Population stability index of the latest predictions", "of")
        self._missing = gauge("missing_share", "Missing values among the latest predictions", "of")
        self._missing_reference = gauge("missing_share_reference", "The same of the card's reference", "of")
        self._decisions = gauge("decision_share", "Decisions among the latest predictions", "decision")
        self._decisions_reference = gauge("decision_share_reference", "The same of the card's reference", "decision")

    def expected(self, of: str, missing_share: float) -> None:
        """What the reference says of one number."""
        self._missing_reference.labels(of).set(missing_share)

    def expected_positive(self, share: float) -> None:
        """What the reference says of the decision."""
        self._decisions_reference.labels(POSITIVE).set(share)

    def watched(self) -> None:
        """One prediction was looked at."""
        self._watched.inc()

    def told(self, of: str, psi: float, missing_share: float) -> None:
        """The latest window of one number."""
        self._psi.labels(of).set(psi)
        self._missing.labels(of).set(missing_share)

    def told_positive(self, share: float) -> None:
        """The latest window's share of positive decisions."""
        self._decisions.labels(POSITIVE).set(share)
