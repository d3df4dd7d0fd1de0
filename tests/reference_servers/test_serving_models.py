"""The checkout's own models through the core: the answers expected, and the kinds' refusals."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proofload_servers.serving import InvalidInput, Service, Settings, StartupError

WAIT_S = 60.0
RTOL = 1e-4


def payloads(built_models: Path, name: str, most: int) -> list[dict[str, Any]]:
    with (built_models / name / "payloads.jsonl").open() as lines:
        return [json.loads(line) for line, _ in zip(lines, range(most), strict=False)]


def alike(prediction: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        assert prediction["class"] == expected["class"]
        return bool(prediction["score"] == pytest.approx(expected["score"], rel=RTOL))
    return bool(prediction == pytest.approx(expected, rel=RTOL))


@pytest.mark.parametrize(("name", "most"), [("scorer", 200), ("fraud", 200), ("resnet50", 4)])
def test_batched_answers_are_the_expected_ones_each_for_its_own_payload(
    built_models: Path, name: str, most: int
) -> None:
    service = Service.start(Settings(model=name, fixtures=str(built_models), max_batch=4, max_wait_ms=0))
    service.wait_ready(WAIT_S)
    asked = payloads(built_models, name, most)
    futures = [service.submit(one["body"], deadline_ns=None, request_id=one["id"]) for one in asked]
    for one, future in zip(asked, futures, strict=True):
        answer = future.result(WAIT_S)
        assert answer.id == one["id"]
        assert alike(answer.prediction, one["expect"])
    assert service.drain(WAIT_S)


@pytest.fixture
def fraud(built_models: Path) -> Any:
    service = Service.start(Settings(model="fraud", fixtures=str(built_models)))
    service.wait_ready(WAIT_S)
    yield service
    service.drain(WAIT_S)


def test_explained_features_are_named_as_the_card_names_them(fraud: Service, built_models: Path) -> None:
    (one,) = payloads(built_models, "fraud", 1)
    future = fraud.submit({**one["body"], "explain": True}, deadline_ns=None, request_id="r")
    features = future.result(WAIT_S).features
    assert features is not None
    assert list(features) == [feature["name"] for feature in fraud.info()["features"]]
    assert json.loads(json.dumps(features, allow_nan=False)) == features


def test_an_invalid_transaction_names_its_field_and_hides_its_value(fraud: Service, built_models: Path) -> None:
    (one,) = payloads(built_models, "fraud", 1)
    body = {"transaction": {**one["body"]["transaction"], "amount": "4111-1111"}}
    with pytest.raises(InvalidInput) as refusal:
        fraud.submit(body, deadline_ns=None, request_id="r")
    assert "amount" in refusal.value.message
    assert "4111" not in refusal.value.message


def test_a_model_trained_on_other_features_is_not_served(built_models: Path, tmp_path: Path) -> None:
    card = json.loads((built_models / "fraud" / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(card | {"schema_sha256": "0" * 64}))
    with pytest.raises(StartupError, match="skew"):
        Service.start(Settings(model=str(tmp_path)))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _pixels: "%%%",
        lambda pixels: base64.b64encode(pixels[:-1]).decode(),
        lambda pixels: base64.b64encode(pixels + b"\0\0\0").decode(),
        list,
    ],
)
def test_an_image_of_another_size_or_kind_is_refused(built_models: Path, spoil: Callable[[bytes], Any]) -> None:
    from proofload_servers.serving.card import read_card
    from proofload_servers.serving.kinds import kind_of

    kind = kind_of(read_card(built_models / "resnet50"))
    pixels = bytes(3072)
    assert kind.prepare(base64.b64encode(pixels).decode()) == kind.prepare(pixels) == pixels
    with pytest.raises(InvalidInput):
        kind.prepare(spoil(pixels))
