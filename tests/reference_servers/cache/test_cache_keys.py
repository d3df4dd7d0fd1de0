"""Keys are equal exactly where the same model gets the same numbers; an entry is believed only under its own key."""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proofload_servers.serving import features
from proofload_servers.serving.cache.address import checked, told
from proofload_servers.serving.cache.entries import MOST_BYTES, as_json, packed, unpacked
from proofload_servers.serving.cache.keys import keys_of
from proofload_servers.serving.card import Card, read_card
from proofload_servers.serving.kinds import kind_of

calmly = settings(deadline=None)  # a busy machine is no failure
NAMES = ("x0", "x1", "x2", "x3")


def _card() -> Card:
    told = {
        "name": "tiny",
        "version": "7",
        "framework": "onnx",
        "kind": "vector",
        "input": {"name": "values"},
        "output": {"name": "score", "column": 0},
        "features": [{"name": name, "type": "number"} for name in NAMES],
        "schema_sha256": "5c",
        "files": {"model.onnx": "ab" * 32},
    }
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.json").write_text(json.dumps(told))
        return read_card(Path(folder))


CARD = _card()
FRAUD = dataclasses.replace(
    CARD, kind="transaction", features=tuple(features.SCHEMA), schema_sha256=features.schema_sha256()
)
KIND = kind_of(CARD)
KEY = keys_of(CARD, KIND, device="cpu", runtime="onnxruntime 1")
FRAUD_KIND = kind_of(FRAUD)
FRAUD_KEY = keys_of(FRAUD, FRAUD_KIND, device="cpu", runtime="onnxruntime 1")
TRANSACTION: dict[str, Any] = {
    "transaction_id": "t1", "timestamp": "2025-03-13T12:53:16+01:00", "amount": 200.75, "currency": "PLN",
    "channel": "online", "merchant_category": "fuel", "merchant_country": "PL", "home_country": "PL",
    "account_opened_on": "2024-11-18", "device_age_days": 5, "declined_24h": 0,
    "history_as_of": "2025-03-13T11:38:49Z", "count_30d": 11, "mean_eur_30d": 115.35, "sd_eur_30d": 163.62,
    "last_transaction_at": "2025-03-10T11:34:50Z",
}  # fmt: skip

numbers = st.one_of(
    st.floats(width=32, allow_infinity=False), st.floats(-1e30, 1e30), st.integers(-(2**70), 2**70), st.just(-0.0)
)
rows = st.lists(numbers, min_size=4, max_size=4)


@st.composite
def pairs_of_rows(draw: st.DrawFn) -> tuple[list[float], list[float]]:
    """Two rows that are more often alike than chance would make them."""
    row = draw(rows)
    other = draw(st.one_of(st.permutations(row), rows, st.just([_respelt(value) for value in row])))
    if draw(st.booleans()):
        place = draw(st.integers(0, 3))
        other = [*other[:place], draw(st.sampled_from([*row, 0.0, -0.0, math.nan])), *other[place + 1 :]]
    return row, list(other)


def _respelt(value: float) -> float:
    """The same number, written another way where there is one."""
    if isinstance(value, int):
        return float(value)
    return int(value) if math.isfinite(value) and value == int(value) and value != 0 else value


def bits(row: list[float]) -> list[Any]:
    """What the model sees of each number: its float32, and "missing" for NaN."""
    return ["missing" if math.isnan(value) else np.float32(value).tobytes() for value in row]


@calmly
@given(pairs_of_rows())
@example(([1, 0, 0, 0], [1.0, 0, 0, 0]))
@example(([0.0, 0, 0, 0], [-0.0, 0, 0, 0]))
@example(([math.nan, 0, 0, 0], [0.0, 0, 0, 0]))
@example(([math.nan, 0, 0, 0], [-math.nan, 0, 0, 0]))
@example(([0.1, 0, 0, 0], [float(np.float32(0.1)), 0, 0, 0]))
@example(([1, 2, 3, 4], [4, 3, 2, 1]))
def test_keys_are_equal_exactly_where_the_model_gets_the_same_numbers_in_the_same_places(
    pair: tuple[list[float], list[float]],
) -> None:
    one, other = pair
    assert (KEY(one) == KEY(other)) == (bits(one) == bits(other))


@calmly
@given(st.lists(st.floats(-1e30, 1e30) | st.integers(-(2**100), 2**100), min_size=4, max_size=4))
def test_what_is_hashed_is_what_the_model_is_given(row: list[float]) -> None:
    assert KIND.identity(row) == KIND.stack([row]).tobytes()


def fraud_key(transaction: Mapping[str, Any]) -> bytes:
    return FRAUD_KEY(FRAUD_KIND.prepare(transaction))


@calmly
@given(st.permutations(list(TRANSACTION)), st.text(max_size=8))
def test_neither_the_order_of_members_nor_one_the_model_does_not_use_makes_a_difference(
    order: list[str], name: str
) -> None:
    shuffled = {key: TRANSACTION[key] for key in order} | {"transaction_id": name}
    assert fraud_key(shuffled) == fraud_key(TRANSACTION)


@calmly
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "amount": st.floats(0, 1e6) | st.integers(0, 10_000),
            "merchant_category": st.sampled_from([None, "fuel", "other", "unheard-of"]),
            "device_age_days": st.none() | st.integers(0, 400),
            "declined_24h": st.none() | st.integers(0, 3),
            "merchant_country": st.sampled_from([None, "PL", "DE"]),
            "mean_eur_30d": st.none() | st.floats(0, 1e4),
        },
    )
)
def test_transactions_share_a_key_exactly_where_they_have_the_same_features(changes: dict[str, Any]) -> None:
    changed = {**TRANSACTION, **changes}
    same = bits(FRAUD_KIND.prepare(changed)) == bits(FRAUD_KIND.prepare(TRANSACTION))
    assert (fraud_key(changed) == fraud_key(TRANSACTION)) == same


def test_absent_and_null_are_one_and_zero_is_another() -> None:
    absent = {key: value for key, value in TRANSACTION.items() if key != "declined_24h"}
    assert fraud_key(absent) == fraud_key({**absent, "declined_24h": None})
    assert fraud_key(absent) != fraud_key({**absent, "declined_24h": 0})


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "tiny2"},
        {"version": "8"},
        {"name": "tin", "version": "y7"},
        {"framework": "other"},
        {"files": {"model.onnx": "ac" * 32}},
        {"files": {"model.onnx": "ab" * 32, "weights.bin": "00"}},
        {"schema_sha256": "5d"},
        {"output": {"name": "score", "column": 1}},
        {"input": {"name": "other"}},
        {"features": CARD.features[::-1]},
    ],
    ids=str,
)
@settings(deadline=None, max_examples=20)
@given(row=rows)
def test_another_model_never_has_the_same_key(changes: dict[str, Any], row: list[float]) -> None:
    other = keys_of(dataclasses.replace(CARD, **changes), KIND, device="cpu", runtime="onnxruntime 1")
    assert other(row) != KEY(row)


@calmly
@given(rows)
def test_another_device_or_runtime_has_another_key(row: list[float]) -> None:
    assert keys_of(CARD, KIND, device="cuda", runtime="onnxruntime 1")(row) != KEY(row)
    assert keys_of(CARD, KIND, device="cpu", runtime="onnxruntime 2")(row) != KEY(row)


def test_a_key_has_at_least_128_bits_and_is_the_same_in_every_process() -> None:
    key = KEY([1, 2, 3, 4])
    assert len(key) * 8 >= 128
    assert key.hex() == "c99d7e840d74b196c8d50296e076e09fb0d830053c0c8dd33e029eb7bd7ba34b"


# Entries.

predictions = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.fixed_dictionaries({"class": st.integers(0, 1000), "score": st.floats(0, 1)}),
)


@calmly
@given(predictions, st.binary(min_size=32, max_size=32))
def test_a_prediction_comes_back_as_it_went(prediction: Any, key: bytes) -> None:
    text = as_json(prediction)
    assert text is not None
    back = unpacked(key, packed(key, text))
    assert repr(back) == repr(prediction)


@calmly
@given(predictions, st.binary(min_size=32, max_size=32), st.data())
def test_an_entry_with_any_byte_changed_is_not_believed(prediction: Any, key: bytes, data: st.DataObject) -> None:
    text = as_json(prediction)
    assert text is not None
    entry = bytearray(packed(key, text))
    place = data.draw(st.integers(0, len(entry) - 1))
    entry[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match="entry"):
        unpacked(key, bytes(entry))


@calmly
@given(predictions, st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_an_entry_is_not_believed_under_another_key(prediction: Any, key: bytes, other: bytes) -> None:
    text = as_json(prediction)
    assert text is not None
    if key != other:
        with pytest.raises(ValueError, match="entry"):
            unpacked(other, packed(key, text))


@calmly
@given(st.one_of(st.binary(), st.integers(), st.text(), st.none(), st.lists(st.binary())))
@example(b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00K\x01.")  # a pickle
@example(b'["", 1]')
@example(b"0.5")
def test_foreign_values_are_not_believed(value: Any) -> None:
    with pytest.raises(ValueError, match="entry"):
        unpacked(bytes(32), value)


@pytest.mark.parametrize("prediction", [math.nan, math.inf, (1, 2), {"a": math.nan}, {1, 2}, object(), {1: 2}, 2**80])
def test_what_json_does_not_give_back_is_not_kept(prediction: Any) -> None:
    assert as_json(prediction) is None


def test_what_is_too_long_is_not_kept() -> None:
    assert as_json("x" * MOST_BYTES) is None


# Addresses.


@pytest.mark.parametrize(
    "text", ["none", "memory", "redis://h:6379", "redis://h/3", "rediss://u:p@h:1/0", "unix:///run/redis.sock"]
)
def test_an_address_is_understood(text: str) -> None:
    assert checked(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "Memory", "redis", "redis://", "redis://:secret@/0", "redis://h:0", "redis://h:99999", "redis://h/x",
     "redis://u:secret@h?socket_timeout=99", "http://u:secret@h", "unix://", "redis://[::secret", "redis://h:secret/0"],
)  # fmt: skip
def test_anything_else_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"say none, memory or redis") as refusal:
        checked(text)
    assert "secret" not in str(refusal.value)


def test_an_address_is_told_without_its_secrets() -> None:
    assert told("redis://user:secret@host:6379/2") == "redis://host:6379/2"
    assert told("rediss://:se%40cret@host") == "rediss://host"
    assert told("memory") == "memory"
