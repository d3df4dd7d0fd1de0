"""The correctness check: what counts as the expected answer."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proofload.engine.answers import NO_EXPECTATION, AnswerCheck, agrees, compile_path
from proofload.errors import InputError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def check(expects: list[Any], **options: Any) -> AnswerCheck:
    return AnswerCheck(orjson.loads, expects, **options)


@given(JSON)
def test_every_value_agrees_with_itself(value: Any) -> None:
    assert agrees(value, value, 1e-4)


@pytest.mark.parametrize(
    ("expected", "seen"),
    [
        (1.0, 1.00005),
        (0, 1e-10),
        (1, 1.0),
        ({"class": 3}, {"class": 3, "score": 0.1}),
        ([1.0, [2.0]], [1.00001, [2.00001]]),
    ],
)
def test_differences_within_the_tolerance_agree(expected: Any, seen: Any) -> None:
    assert agrees(expected, seen, 1e-4)


@pytest.mark.parametrize(
    ("expected", "seen"),
    [
        (1.0, 1.001),
        (0, 1e-6),
        (True, 1),
        (1, True),
        (None, 0),
        ("1", 1),
        ({"class": 3}, {"score": 0.1}),
        ([1.0], [1.0, 2.0]),
        ([1.0], 1.0),
        (1.0, "1.0"),
        (1.0, float("nan")),
    ],
)
def test_other_values_do_not_agree(expected: Any, seen: Any) -> None:
    assert not agrees(expected, seen, 1e-4)


def test_an_answer_meant_for_another_payload_is_wrong() -> None:
    judge = check([0.25, 0.75]).judge
    assert judge(0, b'{"prediction": 0.25}').correct
    swapped = judge(0, b'{"prediction": 0.75}')
    assert not swapped.correct
    assert "0.75" in swapped.why
    assert "0.25" in swapped.why


def test_the_memo_of_a_good_answer_belongs_to_its_payload_alone() -> None:
    judge = check([0.25, 0.75]).judge
    body = b'{"prediction": 0.25}'
    assert judge(0, body).correct
    assert not judge(1, body).correct
    assert judge(0, body).correct


@pytest.mark.parametrize("body", [b"", b"garbage", b"[]", b"{}", b'"prediction"', b"null", b'{"prediction": null}'])
def test_an_answer_without_the_prediction_is_wrong(body: bytes) -> None:
    assert not check([0.5]).judge(0, body).correct


def test_without_an_expectation_any_answer_is_correct_but_a_wrong_version_is_not() -> None:
    assert check([NO_EXPECTATION]).judge(0, b"anything").correct
    versioned = check([NO_EXPECTATION], version="$.model.version", expected_version="v2")
    right, wrong = versioned.judge(0, b'{"model":{"version":"v2"}}'), versioned.judge(0, b'{"model":{"version":"v1"}}')
    assert (right.correct, right.version) == (True, "v2")
    assert (wrong.correct, wrong.version) == (False, "v1")
    assert not versioned.judge(0, b"{}").correct


def test_an_expected_null_is_an_expectation() -> None:
    judge = check([None]).judge
    assert judge(0, b'{"prediction": null}').correct
    assert not judge(0, b'{"prediction": 1}').correct


@pytest.mark.parametrize(
    ("path", "value"),
    [("$.a.b[1]", 2), ("$['a']['b'][0]", 1), ("$.a.*[1]", 2), ("$", {"a": {"b": [1, 2]}}), ("$.a.b[-1:]", 2)],
)
def test_jsonpaths_plain_and_not(path: str, value: Any) -> None:
    assert compile_path(path)({"a": {"b": [1, 2]}}) == value


def test_a_path_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="JSONPath"):
        compile_path("$.[")
