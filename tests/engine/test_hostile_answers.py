"""An answer made to hurt whoever reads it ends itself, not the run."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from proofload.engine.answers import AnswerCheck


def deep(levels: int) -> bytes:
    return b'{"prediction": ' + b"[" * levels + b"]" * levels + b', "v": ' + b"[" * levels + b"]" * levels + b"}"


@pytest.mark.parametrize("body", [deep(500), deep(1000), b"\xff\xfe", b'{"prediction": 1e999}'])
def test_a_hostile_answer_is_wrong_and_nothing_is_raised(body: bytes) -> None:
    for version in (None, "$.v", "$..v"):
        check = AnswerCheck(orjson.loads, [0.5], version=version)
        assert not check.judge(0, body).correct


def test_a_decoder_that_raises_anything_at_all_makes_a_wrong_answer() -> None:
    def broken(body: bytes) -> Any:
        raise RuntimeError("no")

    judgement = AnswerCheck(broken, [0.5]).judge(0, b"x")
    assert not judgement.correct
    assert "RuntimeError" in judgement.why
