"""Sessions on a GPU: the CPU's answers, from the device that was asked for, or a refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from proofload_servers.serving import StartupError
from proofload_servers.serving.session import Session, open_session

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(900)]  # TensorRT builds its engine in minutes
RTOL = 1e-4
BATCHES = (1, 3, 8)
DEVICES = ("cuda", "tensorrt")
Usable = Callable[[str], str]


def opened(built_models: Path, model: str, device: str, **options: Any) -> Session:
    file = built_models / model / "model.onnx"
    return open_session(file, device=device, threads=1, max_batch=max(BATCHES), **options)


def rows(built_models: Path, model: str, count: int) -> NDArray[np.float32]:
    """As the model's card says that it takes them."""
    card = json.loads((built_models / model / "model.json").read_text(encoding="utf-8"))
    rng = np.random.default_rng(count)
    return rng.normal(size=(count, *card["input"]["shape"][1:])).astype(np.float32)


@pytest.mark.parametrize("model", ["resnet50", "scorer"])
@pytest.mark.parametrize("device", DEVICES)
def test_it_answers_as_the_cpu_does_at_every_size_of_batch(
    usable: Usable, built_models: Path, model: str, device: str
) -> None:
    there, here = opened(built_models, model, usable(device)), opened(built_models, model, "cpu")
    for count in BATCHES:
        batch = rows(built_models, model, count)
        assert there.run(batch) == pytest.approx(here.run(batch), rel=RTOL, abs=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_a_model_that_no_gpu_computes_is_refused_by_the_name_of_its_operator(
    usable: Usable, built_models: Path, device: str
) -> None:
    with pytest.raises(StartupError, match="TreeEnsembleClassifier"):
        opened(built_models, "fraud", usable(device))


def test_an_engine_is_built_once_and_taken_from_its_folder_then(
    usable: Usable, built_models: Path, tmp_path: Path
) -> None:
    usable("tensorrt")
    kept = []
    for _ in range(2):
        session = opened(built_models, "scorer", "tensorrt", trt_cache=str(tmp_path))
        session.run(rows(built_models, "scorer", 1))
        kept.append({file.name: file.stat().st_mtime_ns for file in tmp_path.rglob("*.engine")})
    assert kept[0]
    assert kept[0] == kept[1]
