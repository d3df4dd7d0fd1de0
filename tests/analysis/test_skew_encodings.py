"""Errors of form: what is told of missing values, types and categories, and of how many rows."""

from __future__ import annotations

from typing import Any

import pytest

from proofload.analysis.feature_values import Values
from proofload.analysis.parity import compare
from proofload.analysis.skew_encodings import constant, filled, relabelled, retyped
from proofload.analysis.skew_patterns import Pattern

SHOPS = ["grocery", "fuel", "travel", "books"] * 25
NUMBERS = [float(number) + 0.25 for number in range(100)]


def of(left: list[Any], right: list[Any], what: str) -> Pattern | None:
    reference, serving = Values.of_objects(left), Values.of_objects(right)
    found = compare(reference, serving, 1e-5)
    if what == "filled":
        return filled(reference, serving, found, found.any)
    if what == "retyped":
        return retyped(reference, serving, found, found.any)
    return (relabelled if what == "relabelled" else constant)(reference, serving, found.any)


def test_missing_values_are_told_with_what_the_other_side_has() -> None:
    left = [None if row < 20 else value for row, value in enumerate(NUMBERS)]
    right = [-1 if row < 20 else value for row, value in enumerate(NUMBERS)]
    found = of(left, right, "filled")
    assert found == Pattern("null-handling", 1.0, "missing in training, -1 in serving")
    back = of(right, left, "filled")
    assert back == Pattern("null-handling", 1.0, "missing in serving, -1 in training")


def test_missing_on_either_side_is_told_for_both_and_shares_are_of_the_rows_that_differ() -> None:
    left = [None] * 10 + NUMBERS[10:]
    right = [*(["none"] * 10), *([None] * 20), *(value + 1 for value in NUMBERS[30:60]), *NUMBERS[60:]]
    found = of(left, right, "filled")
    assert found is not None
    assert found.share == pytest.approx(30 / 60)
    assert found.says == 'missing in training, "none" in serving; missing in serving, various values in training'


@pytest.mark.parametrize(
    ("there", "says"),
    [
        (["x"] * 10, '"x"'),
        (["x"] * 6 + ["y"] * 4, 'mostly "x"'),
        (["x"] * 5 + ["y"] * 5, "various values"),
        ([1.5] * 10, "1.5"),
        (["a" * 31] * 10, f'"{"a" * 29}…"'),
        (["a" * 30] * 10, f'"{"a" * 30}"'),
    ],
)
def test_what_stands_for_a_missing_value_is_shown_as_far_as_it_is_one(there: list[Any], says: str) -> None:
    found = of([None] * 10 + SHOPS, there + SHOPS, "filled")
    assert found is not None
    assert found.says == f"missing in training, {says} in serving"


def test_where_nothing_is_missing_on_one_side_alone_nothing_is_filled() -> None:
    assert of([None, "a", "b"], [None, "b", "b"], "filled") is None


def test_a_number_in_text_is_the_same_number_and_is_told_where_it_is() -> None:
    text = [f"{value:.2f}" for value in NUMBERS]
    found = of(NUMBERS, text, "retyped")
    assert found == Pattern("type", 1.0, "a number in text in serving, the same number in the other")
    back = of(text, NUMBERS, "retyped")
    assert back is not None
    assert "in text in training" in back.says


def test_flags_in_words_are_types_and_other_words_are_not() -> None:
    flags = [True, False, True, False]
    found = of(flags, ["True", "false", " TRUE ", "False"], "retyped")
    assert found is not None
    assert found.share == 1.0
    crossed = of(flags, ["false", "true", "yes", "False"], "retyped")
    assert crossed is not None
    assert crossed.share == 0.25
    assert of(flags, ["yes", "no", "yes", "no"], "retyped") is None


def test_only_the_rows_whose_text_means_the_number_count() -> None:
    right = [f"{value:.2f}" if row < 60 else f"{value + 3:.2f}" for row, value in enumerate(NUMBERS)]
    found = of(NUMBERS, right, "retyped")
    assert found is not None
    assert found.share == pytest.approx(0.6)


def test_another_encoder_gives_each_category_one_other_label() -> None:
    found = of(SHOPS, [shop.upper() for shop in SHOPS], "relabelled")
    assert found is not None
    assert (found.cause, found.share) == ("category-encoding", 1.0)
    assert found.says == (
        'categories have other labels ("travel" → "TRAVEL", "grocery" → "GROCERY", "fuel" → "FUEL" and 1 more)'
    )


def test_labels_of_training_on_other_categories_are_swapped() -> None:
    turned = {"grocery": "fuel", "fuel": "grocery"}
    found = of(SHOPS, [turned.get(shop, shop) for shop in SHOPS], "relabelled")
    assert found is not None
    assert found.share == 1.0
    assert found.says == 'categories are swapped ("grocery" → "fuel", "fuel" → "grocery")'


def test_several_categories_that_are_one_are_told_with_it() -> None:
    found = of(SHOPS, ["other" if shop in {"fuel", "books"} else shop for shop in SHOPS], "relabelled")
    assert found is not None
    assert found.says == '2 categories are all "other" ("fuel" → "other", "books" → "other")'


def test_codes_are_categories_and_measurements_are_not() -> None:
    codes = [number % 5 for number in range(100)]
    found = of(codes, [(code + 1) % 5 for code in codes], "relabelled")
    assert found is not None
    assert "swapped (4 → 0, 3 → 4, 2 → 3" in found.says
    measured = [value % 5 for value in NUMBERS]
    assert of(measured, [value + 1 for value in measured], "relabelled") is None


def test_a_category_that_means_several_things_and_one_of_few_rows_prove_no_encoder() -> None:
    torn = [f"{shop}{row % 2}" for row, shop in enumerate(shop for shop in SHOPS for _ in range(2))]
    assert of([shop for shop in SHOPS for _ in range(2)], torn, "relabelled") is None
    nearly = [("x" if row % 100 == 4 else shop.upper()) for row, shop in enumerate(SHOPS)]
    found = of(SHOPS, nearly, "relabelled")
    assert found is not None
    assert found.share == pytest.approx(0.99)
    each_its_own = [f"id {row}" for row in range(100)]
    assert of(each_its_own, [one.upper() for one in each_its_own], "relabelled") is None


def test_one_value_whatever_training_has_is_a_default() -> None:
    found = of(NUMBERS, [0.0] * 90 + NUMBERS[90:], "constant")
    assert found is not None
    assert (found.cause, found.share) == ("null-handling", 1.0)  # of the rows that differ
    assert found.says == "serving has 0 whatever training has"


def test_a_default_takes_five_rows_of_five_values() -> None:
    assert of(NUMBERS[:4], [7] * 4, "constant") is None
    assert of(NUMBERS[:5], [7] * 5, "constant") is not None
    assert of(SHOPS, ["x"] * 100, "constant") is None  # four categories: that is an encoder
    assert of([None] * 90 + NUMBERS[:4], [7] * 94, "constant") is None  # what is missing is no value


@pytest.mark.parametrize(("categories", "told"), [(25, True), (26, False)])
def test_an_encoder_takes_four_rows_for_each_category(categories: int, told: bool) -> None:
    names = [f"c{row % categories}" for row in range(100)]
    assert (of(names, [name.upper() for name in names], "relabelled") is not None) is told
