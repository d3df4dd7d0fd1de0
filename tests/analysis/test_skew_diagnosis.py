"""The kind of error is told from the values: what the trials do not show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from proofload.analysis.feature_values import Values
from proofload.analysis.parity import compare
from proofload.analysis.skew_diagnosis import Diagnosis, diagnose, together
from proofload.analysis.skew_rows import Joined, misplaced

RNG = np.random.default_rng(5)
AMOUNTS = np.round(RNG.lognormal(3, 1, 400), 2)
SHOPS = RNG.choice(["grocery", "fuel", "travel"], 400).tolist()


def told(name: str, left: Any, right: Any) -> Diagnosis:
    reference, serving = (
        Values.of_numbers(side) if isinstance(side, np.ndarray) else Values.of_objects(side) for side in (left, right)
    )
    return diagnose(name, reference, serving, compare(reference, serving, 1e-5))


@pytest.mark.parametrize(
    ("serving", "cause", "says"),
    [
        ([shop.upper() for shop in SHOPS], "category-encoding", '"fuel" → "FUEL"'),
        ([{"grocery": 0, "fuel": 1, "travel": 2}[shop] for shop in SHOPS], "category-encoding", '"fuel" → 1'),
        (["other" if shop != "fuel" else shop for shop in SHOPS], "category-encoding", 'all "other"'),
        (
            [None if shop == "fuel" else shop for shop in SHOPS],
            "null-handling",
            'missing in serving, "fuel" in training',
        ),
    ],
)
def test_categories(serving: list[Any], cause: str, says: str) -> None:
    found = told("shop", SHOPS, serving)
    assert found.cause == cause
    assert says in found.says


def test_a_number_that_comes_as_text_is_a_type() -> None:
    found = told("amount", AMOUNTS, [f"{value:.2f}" for value in AMOUNTS])
    assert found.cause == "type"


def test_a_known_factor_is_called_by_its_name() -> None:
    assert "minutes and hours" in told("age", AMOUNTS, AMOUNTS * 60).says


def test_two_errors_at_once_are_both_told() -> None:
    missing = np.where(np.arange(400) % 4 == 0, np.nan, AMOUNTS)
    found = told("amount", missing, np.nan_to_num(missing * 100))
    assert found.cause == "unit"
    assert "missing in training, 0 in serving" in found.says


def test_a_default_in_place_of_a_feature_is_told() -> None:
    found = told("amount", AMOUNTS, np.full(400, -1.0))
    assert found.cause == "null-handling"
    assert "-1 whatever" in found.says


def test_a_ratio_follows_the_amount_it_is_made_of() -> None:
    rows = np.arange(400) < 100
    found = {"amount": Diagnosis("unit", "x", 1.0), "amount_zscore": Diagnosis("", "y", 0.0)}
    settled = together(found, {"amount": rows, "amount_zscore": rows})
    assert settled["amount_zscore"].cause == "unit"
    assert settled["amount_zscore"].follows == "amount"


def rows_of_cards() -> tuple[np.ndarray[Any, Any], dict[str, np.ndarray[Any, Any]]]:
    cards = np.repeat(np.arange(100), 4)
    return cards, {"mean": RNG.lognormal(3, 1, 400), "count": RNG.poisson(9, 400).astype(float)}


def joined(served: dict[str, Any], wanted: dict[str, Any], cards: Any) -> Joined:
    reference = {name: Values.of_numbers(values) for name, values in wanted.items()}
    serving = {name: Values.of_numbers(values) for name, values in served.items()}
    bad = {name: compare(reference[name], serving[name], 1e-5).any for name in reference}
    return Joined(reference, serving, np.arange(400), bad, cards)


def test_values_of_an_earlier_row_of_the_same_card_are_stale() -> None:
    cards, wanted = rows_of_cards()
    earlier = np.where(np.arange(400) % 4 == 0, np.arange(400), np.arange(400) - 1)
    found = misplaced(joined({name: values[earlier] for name, values in wanted.items()}, wanted, cards))
    assert found.stale.share > 0.95
    assert found.stale.by_chance < 0.1
    assert found.foreign < 0.05


def test_values_of_another_card_are_foreign_and_not_stale() -> None:
    cards, wanted = rows_of_cards()
    other = (np.arange(400) + 200) % 400
    found = misplaced(joined({name: values[other] for name, values in wanted.items()}, wanted, cards))
    assert found.foreign > 0.8  # where both features differ
    assert found.stale.share < 0.1


def test_the_row_before_is_recognised_where_no_card_is_known() -> None:
    _, wanted = rows_of_cards()
    before = np.maximum(np.arange(400) - 1, 0)
    found = misplaced(joined({name: values[before] for name, values in wanted.items()}, wanted, None))
    assert found.stale.lag == 1
    assert found.stale.share > 0.95


def test_rows_of_others_are_recognised_through_the_dust_of_float32() -> None:
    cards, wanted = rows_of_cards()
    other = (np.arange(400) + 200) % 400
    served = {name: values[other].astype(np.float32).astype(float) for name, values in wanted.items()}
    assert misplaced(joined(served, wanted, cards)).foreign > 0.8


def test_a_row_at_another_distance_is_what_chance_gives() -> None:
    """Values that come again every eleven rows: the one eleven rows back is never the one before."""
    before = np.maximum(np.arange(400) - 1, 0)
    for period, sure in ((10, False), (11, True)):
        values = RNG.permutation(np.square(np.arange(float(period))))[np.arange(400) % period]
        found = misplaced(joined({"mean": values[before]}, {"mean": values}, None))
        assert found.stale.share > 0.95
        assert (found.stale.by_chance < 0.3) is sure
        assert found.stale.convincing is sure


def test_two_rows_late_is_told_as_two() -> None:
    _, wanted = rows_of_cards()
    before = np.maximum(np.arange(400) - 2, 0)
    assert misplaced(joined({name: values[before] for name, values in wanted.items()}, wanted, None)).stale.lag == 2


def test_features_that_are_out_of_date_by_themselves_are_named() -> None:
    cards, wanted = rows_of_cards()
    earlier = np.where(np.arange(400) % 4 == 0, np.arange(400), np.arange(400) - 1)
    served = {"mean": wanted["mean"][earlier], "count": wanted["count"] + 100.0}
    found = misplaced(joined(served, wanted, cards))
    assert set(found.stale_features) == {"mean"}
    assert found.stale_features["mean"].share > 0.95
    assert found.tested == 400
    assert found.stale.share < 0.1  # no row as a whole
    assert misplaced(joined(wanted, wanted, cards)).tested == 0


def test_a_feature_follows_only_where_most_of_its_rows_are_shared() -> None:
    rows = np.arange(400)
    lead, weak = Diagnosis("unit", "x", 0.9), Diagnosis("unit", "x", 0.7)
    unknown = Diagnosis("", "y", 0.0)
    of = {"amount": rows < 100, "ratio": rows < 125}
    assert together({"amount": lead, "ratio": unknown}, of)["ratio"].follows == "amount"
    of["ratio"] = rows < 126
    assert together({"amount": lead, "ratio": unknown}, of)["ratio"] == unknown
    assert together({"amount": weak, "ratio": unknown}, of)["ratio"] == unknown


@pytest.mark.parametrize("rows", [5_001, 20_000])
def test_many_rows_are_judged_by_some_thousand_of_them(rows: int) -> None:
    amounts = RNG.lognormal(3, 1, rows)
    found = told("amount", amounts, amounts * 100)
    assert (found.cause, found.explains) == ("unit", 1.0)


def test_what_fits_nothing_is_told_with_how_far_it_is_off() -> None:
    found = told("amount", AMOUNTS, AMOUNTS * RNG.choice([0.5, 1.5], 400) * RNG.uniform(0.999, 1.001, 400) ** 30)
    assert found.cause == ""
    assert found.says.startswith("the values differ by 5")
    assert "in the median, and no pattern is recognised" in found.says


def test_text_of_which_a_third_means_the_number_is_no_matter_of_types() -> None:
    text = [f"{value:.2f}" if row % 3 == 0 else f"{value * 3.7 + row:.2f}" for row, value in enumerate(AMOUNTS)]
    assert told("amount", AMOUNTS, text).cause != "type"


def test_where_no_row_stands_elsewhere_there_is_no_lag() -> None:
    _, wanted = rows_of_cards()
    found = misplaced(joined({name: values + 1e6 for name, values in wanted.items()}, wanted, None))
    assert (found.stale.lag, found.stale.share, found.foreign, found.stale.by_chance) == (0, 0.0, 0.0, 0.0)


def test_rows_that_are_stale_are_a_share_of_those_that_differ() -> None:
    cards, wanted = rows_of_cards()
    earlier = np.where(np.arange(400) % 4 == 0, np.arange(400), np.arange(400) - 1)
    half = np.arange(400) < 200
    served = {name: np.where(half, values[earlier], values + 1e6) for name, values in wanted.items()}
    found = misplaced(joined(served, wanted, cards))
    assert found.tested == 350
    assert found.stale.share == pytest.approx(150 / 350, abs=0.02)
