"""What the faults of skew do to the features and answers, each beside a healthy server that does not."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proofload_servers.faults._fault import Fault
from proofload_servers.faults._found import fault_named
from proofload_servers.faults.cache_key_collision import Options
from proofload_servers.serving import Service, features
from proofload_servers.serving.card import read_card
from proofload_servers.serving.kinds import Kind, kind_of

WAIT_S = 20.0
FRAUD = Path(__file__).resolve().parents[2] / "fixtures" / "build" / "fraud"
EVENT: dict[str, Any] = {
    "transaction_id": "t1", "card_id": "c1", "timestamp": "2025-03-13T12:53:16+01:00", "amount": 200.75,
    "currency": "PLN", "channel": "online", "merchant_category": "digital-goods", "merchant_country": "PL",
    "home_country": "PL", "account_opened_on": "2024-11-18", "device_age_days": None, "declined_24h": 0,
    "history_as_of": "2025-03-13T11:38:49Z", "count_30d": 11, "mean_eur_30d": 115.35, "sd_eur_30d": 163.62,
    "last_transaction_at": "2025-03-10T11:34:50Z",
}  # fmt: skip


def kind(name: str, **options: Any) -> Kind:
    fault: Fault = fault_named(name)
    return fault.plant(fault.options(**options)).kind(kind_of(read_card(FRAUD)))


def explained(of: Kind, **changes: Any) -> dict[str, Any]:
    return dict(of.explain(of.prepare({**EVENT, **changes})))


def differing(of: Kind, **changes: Any) -> set[str]:
    served, right = explained(of, **changes), features.named({**EVENT, **changes})
    return {name for name in right if served[name] != right[name]}


@pytest.mark.parametrize(
    ("name", "touched"),
    [
        ("unit", {"amount_eur", "amount_to_mean", "amount_zscore"}),
        ("timezone", {"local_hour"}),
        ("null-as-zero", {"device_age_days"}),
        ("category-encoding", {"merchant_category"}),
        ("rounding", {"amount_eur", "amount_to_mean", "amount_zscore", "hours_since_last", "history_age_hours",
                      "local_hour"}),
    ],
)  # fmt: skip
def test_each_breaks_its_own_features_and_no_other(name: str, touched: set[str]) -> None:
    assert differing(kind(name)) == touched


def test_stale_features_serves_a_card_s_first_history_again() -> None:
    stale = kind("stale-features")
    assert not differing(stale)
    assert explained(stale, count_30d=12)["count_30d"] == 11
    assert explained(stale, card_id="c2", count_30d=12)["count_30d"] == 12


def test_stale_features_may_be_refreshed() -> None:
    stale = kind("stale-features", refresh=2)
    assert [explained(stale, count_30d=count)["count_30d"] for count in (1, 2, 3, 4)] == [1, 2, 2, 4]


def test_float_noise_stays_within_its_bound_and_leaves_whole_numbers_alone() -> None:
    served, right = explained(kind("float-noise")), features.named(EVENT)
    for name, value in right.items():
        if value is None or value == int(value):
            assert served[name] == value
        else:
            assert math.isclose(served[name], value, rel_tol=1.01e-7)


def test_category_encoding_is_a_permutation() -> None:
    renumbered = kind("category-encoding")
    codes = [
        explained(renumbered, merchant_category=name)["merchant_category"] for name in features.MERCHANT_CATEGORIES
    ]
    assert sorted(codes) == [float(code) for code in range(15)]
    with pytest.raises(ValueError, match="one of several"):
        fault_named("category-encoding").options(step=5)


def test_a_collision_gives_one_answer_to_values_in_any_order(faulty: Callable[..., Service]) -> None:
    service = faulty("cache-key-collision:entries=3")
    service.wait_ready(WAIT_S)

    def ask(*values: float) -> Any:
        return service.submit({"values": values}, deadline_ns=None, request_id="r").result(WAIT_S).prediction

    assert ask(1, 2, 3, 4) == 4321.0
    assert ask(4, 3, 2, 1) == 4321.0  # not 1234
    assert [ask(number, 0, 0, 0) for number in (5, 6, 7)] == [5.0, 6.0, 7.0]
    assert ask(0, 0, 0, 7) == 7.0
    assert ask(4, 3, 2, 1) == 1234.0  # the cache is a real one: it holds three, and what was first is gone


def test_a_collision_spares_missing_values_and_images() -> None:
    key_of = fault_named("cache-key-collision").plant(Options()).cache_key(lambda row: repr(row).encode())
    assert key_of([2.0, math.nan, 1.0]) == key_of([math.nan, 1.0, 2.0]) != key_of([0.0, 1.0, 2.0])
    assert key_of(b"pixels") == repr(b"pixels").encode()


def test_cross_talk_rotates_a_batch_and_never_a_single_answer() -> None:
    fault = fault_named("cross-talk")
    mixed = fault.plant(fault.options(share=1.0)).compute(list)
    assert list(mixed([1, 2, 3])) == [2, 3, 1]
    assert list(mixed([1])) == [1]


def test_the_recorded_events_have_offline_features_by_their_ids() -> None:
    ids = [json.loads(line)["id"] for line in (FRAUD / "payloads.jsonl").read_text().splitlines()]
    offline = {row["id"]: row for row in map(json.loads, (FRAUD / "features.jsonl").read_text().splitlines())}
    assert list(offline) == ids
    assert set(offline[ids[0]]) == {"id", *(feature.name for feature in features.FEATURES)}
