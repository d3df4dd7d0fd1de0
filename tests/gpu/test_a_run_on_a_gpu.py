"""`proofload run --device cuda`: the device is recorded, every answer checked, energy told where it is read."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.gpu, pytest.mark.real, pytest.mark.timeout(300)]


def test_a_load_on_a_gpu_is_answered_right_and_its_device_is_on_record(
    usable: Callable[[str], str], accelerators: Mapping[str, Any], built_models: Path, tmp_path: Path
) -> None:
    settings = {"target.model": "resnet50", "rate_rps": 20, "duration_s": 15, "warmup_s": 3, "slo.ok_share": 0.9}
    words = ["run", "load", "--target", "fastapi", "--device", usable("cuda"), "--out", str(tmp_path / "run")]
    words += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    ended = subprocess.run([sys.executable, "-m", "proofload", *words], capture_output=True, text=True, check=False)
    assert ended.returncode in {0, 1, 3}, ended.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_bytes())
    outcomes = result["phases"][-1]["outcomes"]
    assert outcomes["wrong"] == 0
    assert outcomes["ok"] > 0
    assert result["target"]["device"] == "cuda"
    assert result["environment"]["accelerators"] == accelerators
    energy = result["cost"].get("energy")
    if energy is None:
        pytest.skip("answered, and nothing was read of the boards' power: no energy to check")
    assert energy["per_million_j"] > 0
    assert energy["predictions"] <= outcomes["ok"]
