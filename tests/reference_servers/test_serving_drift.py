"""What a server says of drift: nothing too early, little about healthy traffic, much about what has changed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from tests.reference_servers.conftest import write_tiny_model

from proofload.analysis import drift as analysis
from proofload_servers.serving import Service, Settings, StartupError, features
from proofload_servers.serving.drift import FEWEST, HALF_WINDOW, LOOK_EVERY_S, Drift, Expected
from proofload_servers.serving.drift_gauges import DriftGauges

STOP, REVIEW, RETRAIN = 0.25, 0.15, 0.10
"""The tiers that the alerts go by."""
UNIFORM: dict[str, Any] = {
    "rows": 2048,
    "score": {"edges": [round(0.1 * tenth, 1) for tenth in range(1, 10)], "shares": [0.1] * 10 + [0.0]},
    "features": {"x": {"edges": [0.5], "shares": [0.45, 0.45, 0.1]}},
    "decision": {"threshold": 0.8, "positive_share": 0.2},
}


def ticking() -> Iterator[float]:
    """A clock on which every prediction is due for a look."""
    return (LOOK_EVERY_S * 1.5 * step for step in count())


class Watched:
    """A `Drift` over UNIFORM (or another reference), fed by the test, and what it tells."""

    def __init__(self, reference: dict[str, Any] = UNIFORM) -> None:
        self.registry = CollectorRegistry()
        times = ticking()
        self.drift = Drift(reference, DriftGauges(self.registry), clock=lambda: next(times))
        self.rng = np.random.default_rng(1)

    def told(self, metric: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"proofload_{metric}", labels)

    def healthy(self, number: int) -> None:
        for _ in range(number):
            x = math.nan if self.rng.random() < 0.1 else self.rng.random()
            self.drift.see([x], self.rng.random())


def test_before_there_is_enough_to_say_no_figure_is_told() -> None:
    watched = Watched()
    watched.healthy(FEWEST - 1)
    assert watched.told("watched_predictions_total") == FEWEST - 1
    assert watched.told("drift_psi", of="score") is None
    assert watched.told("missing_share", of="x") is None
    assert watched.told("missing_share_reference", of="x") == 0.1


def test_healthy_traffic_stays_below_the_lowest_tier_at_every_look() -> None:
    watched = Watched()
    seen = []
    for _ in range(40):
        watched.healthy(250)
        seen.append((watched.told("drift_psi", of="score"), watched.told("drift_psi", of="x")))
    assert max(psi for pair in seen[4:] for psi in pair if psi is not None) < RETRAIN / 2
    assert watched.told("decision_share", decision="positive") == pytest.approx(0.2, abs=0.03)


def test_scores_that_moved_are_told_and_their_return_too() -> None:
    watched = Watched()
    watched.healthy(HALF_WINDOW)
    for _ in range(2 * HALF_WINDOW):
        watched.drift.see([0.2], math.sqrt(watched.rng.random()))
    psi = watched.told("drift_psi", of="score")
    assert psi is not None
    assert psi > STOP
    watched.healthy(2 * HALF_WINDOW + 200)
    psi = watched.told("drift_psi", of="score")
    assert psi is not None
    assert psi < RETRAIN


def test_a_feature_that_went_missing_is_told_by_its_share_and_as_drift() -> None:
    watched = Watched()
    for _ in range(HALF_WINDOW):
        watched.drift.see([math.nan if watched.rng.random() < 0.5 else watched.rng.random()], watched.rng.random())
    assert watched.told("missing_share", of="x") == pytest.approx(0.5, abs=0.05)
    psi = watched.told("drift_psi", of="x")
    assert psi is not None
    assert psi > STOP
    assert watched.told("missing_share", of="score") == 0.0


def test_an_index_is_the_one_that_the_labs_own_analysis_computes() -> None:
    counts = [30, 200, 5, 0, 65]
    expected = Expected("x", edges=(1.0, 2.0, 3.0), shares=(0.2, 0.5, 0.1, 0.1, 0.1), rows=1000)
    p = np.array(counts) / sum(counts)
    assert expected.stability(counts) == pytest.approx(
        analysis._psi(p, np.array(expected.shares), 300.0, 1000.0), rel=1e-9
    )
    assert expected.stability([200, 500, 100, 100, 100]) == pytest.approx(0.0, abs=1e-9)


def test_an_edge_belongs_to_the_bin_above_it_and_nan_to_the_last() -> None:
    expected = Expected("x", edges=(1.0, 2.0), shares=(0.3, 0.3, 0.3, 0.1), rows=10)
    assert [expected.bin_of(value) for value in (0.9, 1.0, 1.9, 2.0, 9.0, math.inf, math.nan)] == [0, 1, 1, 2, 2, 2, 3]


def test_predictions_that_come_faster_than_looks_are_let_by() -> None:
    registry = CollectorRegistry()
    times = (LOOK_EVERY_S * 0.1 * step for step in count())
    drift = Drift(UNIFORM, DriftGauges(registry), clock=lambda: next(times))
    for _ in range(1000):
        drift.see([0.2], 0.2)
    assert registry.get_sample_value("proofload_watched_predictions_total") == pytest.approx(100, abs=10)


@pytest.mark.parametrize("row", [[], [1.0, 2.0], ["a"], None])
def test_what_does_not_fit_the_reference_ends_the_watch_and_harms_no_answer(row: Any) -> None:
    watched = Watched()
    watched.drift.see(row, 0.5)
    watched.healthy(2 * FEWEST)
    assert watched.told("drift_psi", of="score") is None


def test_an_images_score_is_watched_without_features() -> None:
    watched = Watched({"rows": 500, "score": UNIFORM["score"], "features": {}})
    for _ in range(FEWEST + 100):
        watched.drift.see(b"pixels", {"class": 3, "score": watched.rng.random()})
    assert watched.told("drift_psi", of="score") is not None
    assert watched.told("decision_share", decision="positive") is None


@pytest.mark.parametrize(
    "reference",
    [
        {"rows": 10},
        {"rows": 10, "score": {"edges": [1.0], "shares": [0.5, 0.5]}, "features": {}},
        {"rows": 10, "score": {"edges": [], "shares": [1.0, 0.0]}, "features": []},
        ["rows"],
    ],
)
def test_a_reference_that_cannot_be_used_is_one_clear_refusal(tmp_path: Path, reference: Any) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(card | {"reference": reference}))
    with pytest.raises(StartupError, match="reference"):
        Service.start(Settings(model=str(folder)))


def test_a_model_without_a_reference_tells_of_no_drift(service: Service) -> None:
    service.submit({"values": [1, 2, 3, 4]}, deadline_ns=None, request_id="r").result(30)
    text = service.metrics.render().decode()
    assert "drift_psi" not in text
    assert "missing_share" not in text


def test_every_answer_comes_by_the_watch(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    card = json.loads((folder / "model.json").read_text())
    names = [feature["name"] for feature in card["features"]]
    told = {"edges": [0.5], "shares": [0.5, 0.5, 0.0]}
    reference = {"rows": 100, "score": told, "features": dict.fromkeys(names, told)}
    (folder / "model.json").write_text(json.dumps(card | {"reference": reference}))
    service = Service.start(Settings(model=str(folder)))
    try:
        service.wait_ready(30)
        service.submit({"values": [1, 2, 3, 4]}, deadline_ns=None, request_id="r").result(30)
        assert b"proofload_watched_predictions_total 1.0" in service.metrics.render()
        assert b'proofload_missing_share_reference{of="x3"} 0.0' in service.metrics.render()
    finally:
        service.drain(5)


@pytest.mark.parametrize("model", ["fraud", "scorer"])
def test_the_payloads_of_a_built_model_are_its_healthy_traffic(model: str, built_models: Path) -> None:
    folder = built_models / model
    card = json.loads((folder / "model.json").read_text())
    watched = Watched(card["reference"])
    for line in (folder / "payloads.jsonl").read_text().splitlines():
        payload = json.loads(line)
        body = payload["body"]
        row = features.compute(body["transaction"]) if model == "fraud" else body["values"]
        watched.drift.see(row, payload["expect"])
    names = ["score", *card["reference"]["features"]]
    assert names[1:] == [feature["name"] for feature in card["features"]]
    psi = {name: watched.told("drift_psi", of=name) for name in names}
    assert all(value is not None and value < 0.01 for value in psi.values()), psi
