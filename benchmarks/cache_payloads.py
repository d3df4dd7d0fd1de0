"""Payload files that repeat themselves like popular things do, and files that hardly ever do."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from proofload_servers.serving import features, images

LINES = 20_000
APART = 40_000
"""Different transactions; as every request is drawn from them, one in `APART ÷ requests` comes twice."""
IMAGES_APART = 3_000


def popular(source: Path, to: Path, exponent: float) -> Path:
    """The payloads of `source`, the k-th most popular in 1 ÷ k^exponent as many lines as the first, each in one."""
    lines = source.read_text(encoding="utf-8").splitlines(keepends=True)
    weights = 1.0 / np.arange(1, len(lines) + 1) ** exponent
    counts = np.maximum(1, np.round(LINES * weights / weights.sum())).astype(int)
    order = np.random.default_rng(1).permutation(len(lines))
    to.write_text("".join(lines[place] * count for place, count in zip(order, counts, strict=True)), encoding="utf-8")
    return to


def apart(model: Path, to: Path) -> Path:
    """Payloads of which no two are equal."""
    kind = json.loads((model / "model.json").read_text())["kind"]
    lines = _transactions(model) if kind == "transaction" else _images()
    to.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return to


def _transactions(model: Path) -> Iterator[dict[str, Any]]:
    """The model's own, each at many amounts, with what plain ONNX Runtime makes of them."""
    originals = [json.loads(line)["body"]["transaction"] for line in (model / "payloads.jsonl").open(encoding="utf-8")]
    changed = [
        {**originals[number % len(originals)], "amount": round(1.0 + number * 0.03, 2)} for number in range(APART)
    ]
    rows = np.array([features.compute(one) for one in changed], dtype=np.float32)
    card = json.loads((model / "model.json").read_text())
    session = onnxruntime.InferenceSession(str(model / "model.onnx"), providers=["CPUExecutionProvider"])
    outputs = session.run([card["output"]["name"]], {card["input"]["name"]: rows})[0]
    column = int(card["output"].get("column", -1))
    for one, expected in zip(changed, np.asarray(outputs)[:, column].tolist(), strict=True):
        yield {"body": {"transaction": one}, "expect": expected}


def _images() -> Iterator[dict[str, Any]]:
    """Noise. What a network makes of it takes too long to compute here: these answers are not checked."""
    draw = np.random.default_rng(2)
    for _ in range(IMAGES_APART):
        yield {"body": {"image": base64.b64encode(draw.bytes(images.BYTES)).decode()}}
