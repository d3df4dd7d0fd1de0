"""A server that doubles, payloads for it, and a run folder that can be judged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from proofload.testing.answering import Doubling, answering


@pytest.fixture
def url() -> Iterator[str]:
    with answering(Doubling) as address:
        yield address


@pytest.fixture
def payloads(tmp_path: Path) -> str:
    path = tmp_path / "payloads.jsonl"
    path.write_text("\n".join(json.dumps({"body": {"n": n}, "expect": 2 * n}) for n in range(20)), encoding="utf-8")
    return str(path)
