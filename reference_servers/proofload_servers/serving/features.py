"""The fraud model's features, computed at request time from one raw transaction.

The model is trained on the same features computed by pandas (`fixtures/fraud_features.py`); a test
holds the two equal, bit for bit, on every generated row. That is possible because the only
operations used are correctly rounded ones (+ − × ÷ and comparisons, in float64, one rounding to
float32 at the end): a logarithm may differ in its last bit between two libraries, and trees do not
need one.

`SCHEMA` names everything a value depends on, category codes and exchange rates included, so that
its hash changes when a value would. A server compares `schema_sha256()` with its model's.
"""

from __future__ import annotations

import hashlib
import json
import math
from array import array
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, NoReturn

EUR_PER_UNIT: Mapping[str, float] = {
    "EUR": 1.0, "USD": 0.92, "GBP": 1.17, "CHF": 1.05, "SEK": 0.088, "PLN": 0.23, "JPY": 0.0061, "INR": 0.011,
}  # fmt: skip
"""Rates frozen with the model: it was trained with these, so newer ones would be skew."""

MERCHANT_CATEGORIES = (
    "cash-advance", "clothing", "digital-goods", "electronics", "fuel", "gambling", "gift-cards", "grocery",
    "jewellery", "other", "pharmacy", "restaurant", "transport", "travel", "utilities",
)  # fmt: skip
"""A category's code is its place here. One that is not here counts as "other"; null stays missing."""

CHANNELS = ("chip", "contactless", "magstripe", "online")

CENT = 0.01
"""Means and deviations below one cent of a euro say nothing: dividing by them is refused as missing."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_US_PER_HOUR = 3_600_000_000
_US_PER_DAY = 24 * _US_PER_HOUR
_CATEGORY_CODE = {name: float(code) for code, name in enumerate(MERCHANT_CATEGORIES)}
_CHANNEL_CODE = {name: float(code) for code, name in enumerate(CHANNELS)}


class InvalidTransaction(ValueError):  # noqa: N818  named for the thing that is wrong, as callers read it
    """The transaction cannot be scored because of `field`; `problem` is safe to show to the caller.

    It never repeats the value received, which may be card data.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Feature:
    """One model input; `table` holds the constants its values depend on (category codes, rates)."""

    name: str
    type: str
    unit: str
    nullable: bool
    table: Mapping[str, float] | None = None


FEATURES: tuple[Feature, ...] = (
    Feature("amount_eur", "number", "EUR", nullable=False, table=EUR_PER_UNIT),
    Feature("amount_to_mean", "number", "ratio", nullable=True),
    Feature("amount_zscore", "number", "standard deviations", nullable=True),
    Feature("count_30d", "number", "transactions", nullable=True),
    Feature("hours_since_last", "number", "hours", nullable=True),
    Feature("history_age_hours", "number", "hours", nullable=True),
    Feature("local_hour", "number", "hours after local midnight", nullable=False),
    Feature("local_weekday", "number", "days after Monday", nullable=False),
    Feature("merchant_category", "category", "code", nullable=True, table=_CATEGORY_CODE),
    Feature("channel", "category", "code", nullable=False, table=_CHANNEL_CODE),
    Feature("cross_border", "flag", "0 or 1", nullable=True),
    Feature("account_age_days", "number", "days", nullable=True),
    Feature("device_age_days", "number", "days", nullable=True),
    Feature("declined_24h", "number", "transactions", nullable=True),
)
"""The model's inputs, in the order of its columns."""

SCHEMA: list[dict[str, Any]] = [
    {key: value for key, value in asdict(feature).items() if value is not None} for feature in FEATURES
]


def canonical_sha256(value: Any) -> str:
    """SHA-256 of `value` as JSON with sorted keys and no spaces, in UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def schema_sha256() -> str:
    """What `model.json` of a model trained on these features carries as `schema_sha256`."""
    return canonical_sha256(SCHEMA)


def compute(transaction: Mapping[str, Any]) -> list[float]:
    """The values of `FEATURES`, rounded to float32; NaN where a nullable one is missing.

    `transaction` is as decoded from JSON (whole numbers may come as floats, as protobuf's Struct
    sends them). Absent and null mean the same; members that are not named here are ignored.
    Raises InvalidTransaction.
    """
    when = _instant(transaction, "timestamp")
    currency = _text(transaction, "currency")
    channel = _text(transaction, "channel")
    amount = _number(transaction, "amount")
    if when is None or currency is None or channel is None or math.isnan(amount):
        missing = next(name for name in ("timestamp", "currency", "channel", "amount") if transaction.get(name) is None)
        raise InvalidTransaction(missing, "is required")
    if currency not in EUR_PER_UNIT:
        raise InvalidTransaction("currency", f"is not one of {', '.join(EUR_PER_UNIT)}")
    if channel not in _CHANNEL_CODE:
        raise InvalidTransaction("channel", f"is not one of {', '.join(CHANNELS)}")

    amount_eur = amount * EUR_PER_UNIT[currency]
    mean = _number(transaction, "mean_eur_30d")
    deviation = _number(transaction, "sd_eur_30d")
    category = _text(transaction, "merchant_category")
    merchant_country = _text(transaction, "merchant_country")
    home_country = _text(transaction, "home_country")
    border_known = merchant_country is not None and home_country is not None
    now_us = _microseconds(when)
    opened_us = _day_us(transaction, "account_opened_on")
    return array(
        "f",
        (
            amount_eur,
            amount_eur / mean if mean >= CENT else math.nan,
            (amount_eur - mean) / deviation if deviation >= CENT else math.nan,
            _count(transaction, "count_30d"),
            _hours_between(_instant(transaction, "last_transaction_at"), now_us),
            _hours_between(_instant(transaction, "history_as_of"), now_us),
            (when.hour * 60 + when.minute) / 60,
            float(when.weekday()),
            math.nan if category is None else _CATEGORY_CODE.get(category, _CATEGORY_CODE["other"]),
            _CHANNEL_CODE[channel],
            float(merchant_country != home_country) if border_known else math.nan,
            math.nan if opened_us is None else float(max(0, (now_us - opened_us) // _US_PER_DAY)),
            _number(transaction, "device_age_days"),
            _count(transaction, "declined_24h"),
        ),
    ).tolist()


def named(transaction: Mapping[str, Any]) -> dict[str, float | None]:
    """The same values by name, None where missing: what `explain` shows and skew checks compare."""
    values = compute(transaction)
    return {feature.name: None if math.isnan(value) else value for feature, value in zip(FEATURES, values, strict=True)}


def _hours_between(earlier: datetime | None, now_us: int) -> float:
    """Hours, never negative: events of two systems arrive out of order by their clocks' difference."""
    return math.nan if earlier is None else max(0, now_us - _microseconds(earlier)) / _US_PER_HOUR


def _microseconds(when: datetime) -> int:
    return (when - _EPOCH) // _MICROSECOND


def _wrong(field: str, problem: str) -> NoReturn:
    raise InvalidTransaction(field, problem) from None


def _text(transaction: Mapping[str, Any], field: str) -> str | None:
    value = transaction.get(field)
    if value is None or isinstance(value, str):
        return value
    _wrong(field, "is not a string")


def _number(transaction: Mapping[str, Any], field: str) -> float:
    """NaN when missing. All numbers of a transaction are amounts, counts or ages: none is negative."""
    value = transaction.get(field)
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        _wrong(field, "is not a number")
    if not 0 <= value <= 1e12:
        _wrong(field, "is not between 0 and 1e12")
    return float(value)


def _count(transaction: Mapping[str, Any], field: str) -> float:
    value = _number(transaction, field)
    if not (math.isnan(value) or value.is_integer()):
        _wrong(field, "is not a whole number")
    return value


def _instant(transaction: Mapping[str, Any], field: str) -> datetime | None:
    value = _text(transaction, field)
    if value is None:
        return None
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        _wrong(field, "is not an ISO 8601 time")
    if when.utcoffset() is None:
        _wrong(field, "has no UTC offset")
    return when


def _day_us(transaction: Mapping[str, Any], field: str) -> int | None:
    """Midnight UTC, in microseconds, of a date such as "2021-05-02"."""
    value = _text(transaction, field)
    if value is None:
        return None
    try:
        return (date.fromisoformat(value).toordinal() - _EPOCH.toordinal()) * _US_PER_DAY
    except ValueError:
        _wrong(field, "is not a date such as 2021-05-02")
