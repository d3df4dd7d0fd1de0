"""From which features wrong predictions follow."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from proofload.analysis.skew_diagnosis import Diagnosis
from proofload.procedures._skew.following import following
from proofload.procedures._skew.parity import Feature
from proofload.verdict.skew import rule

ROWS = np.arange(1000)


def feature(name: str, differs: NDArray[np.bool_], cause: str = "", follows: str = "") -> Feature:
    ruling = rule(float(differs.sum()), len(differs), limit=0.01, alpha_fail=0.001, alpha_pass=0.05)
    told = Diagnosis(cause, "", 1.0 if cause else 0.0, follows)
    return Feature(name, ruling, len(differs), differs, {}, told, ())


def test_the_feature_that_most_of_them_follow_from_is_named_though_others_differ_beside_it() -> None:
    found = following(
        ROWS < 300, [feature("hour", ROWS < 320, "timezone"), feature("weekday", ROWS % 9 == 0, "timezone")], ROWS
    )
    assert found is not None
    assert (found.names, found.cause, found.share) == (("hour",), "timezone", 1.0)
    assert found.says() == "100 % of them in rows whose features differ: that follows from hour"


def test_features_that_it_takes_together_are_all_named() -> None:
    found = following(
        ROWS < 300, [feature("amount", ROWS < 200, "unit"), feature("shop", (ROWS >= 150) & (ROWS < 290))], ROWS
    )
    assert found is not None
    assert (found.named(), found.cause) == ("amount and shop", "unit")


def test_what_follows_another_feature_is_not_named_before_it() -> None:
    amount, ratio = feature("amount", ROWS < 295, "unit"), feature("ratio", ROWS < 300, "unit", follows="amount")
    found = following(ROWS < 300, [ratio, amount], ROWS)
    assert found is not None
    assert found.names == ("amount",)


def test_an_error_that_is_known_is_named_before_one_that_is_not() -> None:
    found = following(ROWS < 300, [feature("odd", ROWS < 300), feature("amount", ROWS < 290, "unit")], ROWS)
    assert found is not None
    assert found.names[0] == "amount"


def test_a_feature_that_differs_too_rarely_to_fail_is_what_they_follow_from_all_the_same() -> None:
    found = following(ROWS < 3, [feature("amount", ROWS < 3)], ROWS)
    assert found is not None
    assert (found.names, found.cause) == (("amount",), "")


@pytest.mark.parametrize(("shared", "follow"), [(270, True), (269, False)])
def test_nine_in_ten_of_them_have_to_be_where_features_differ(shared: int, *, follow: bool) -> None:
    found = following(ROWS < 300, [feature("amount", np.isin(ROWS, range(shared)))], ROWS)
    assert (found is not None) is follow


def test_where_no_feature_differs_or_nothing_is_wrong_nothing_follows() -> None:
    assert following(ROWS < 300, [], ROWS) is None
    assert following(ROWS < 300, [feature("amount", ROWS < 0)], ROWS) is None
    assert following(ROWS < 0, [feature("amount", ROWS < 300)], ROWS) is None


def test_rows_of_features_are_placed_among_the_answers() -> None:
    wrong = np.zeros(2000, np.bool_)
    wrong[1000:1300] = True
    found = following(wrong, [feature("amount", ROWS < 300)], ROWS + 1000)
    assert found is not None
    assert following(wrong, [feature("amount", ROWS < 300)], ROWS) is None
