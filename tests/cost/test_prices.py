"""The price table: whole entries, or a message that says what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from proofload.cost.prices import read_prices
from proofload.errors import InputError

ENTRY = """
[vcpu-hour]
low = 0.05
high = 0.10
currency = "USD"
unit = "vCPU-hour"
region = "US"
date = "2023-2025"
source = "course notes"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "prices.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_entry_says_where_when_and_according_to_whom(tmp_path: Path) -> None:
    price = read_prices(write(tmp_path, ENTRY))["vcpu-hour"]
    assert (price.low, price.high, price.currency) == (0.05, 0.10, "USD")
    assert price.middle == pytest.approx(0.075)
    assert str(price) == "vcpu-hour at 0.05–0.1 USD per vCPU-hour (US, 2023-2025, course notes)"


@pytest.mark.parametrize("key", ["low", "high", "currency", "unit", "region", "date", "source"])
def test_an_entry_that_is_not_whole_is_refused_by_name(tmp_path: Path, key: str) -> None:
    text = "\n".join(line for line in ENTRY.splitlines() if not line.startswith(key + " "))
    with pytest.raises(InputError, match="vcpu-hour") as caught:
        read_prices(write(tmp_path, text))
    assert key in caught.value.evidence


@pytest.mark.parametrize("low", ["-1", "0.2", "true", "nan", '"0.05"'])
def test_a_price_that_is_none_is_refused(tmp_path: Path, low: str) -> None:
    with pytest.raises(InputError, match="vcpu-hour"):
        read_prices(write(tmp_path, ENTRY.replace("0.05", low)))


def test_a_price_that_may_be_nothing_is_a_range_but_one_that_is_nothing_is_none(tmp_path: Path) -> None:
    assert read_prices(write(tmp_path, ENTRY.replace("0.05", "0")))["vcpu-hour"].low == 0.0
    with pytest.raises(InputError, match="vcpu-hour"):
        read_prices(write(tmp_path, ENTRY.replace("0.05", "0").replace("0.10", "0")))


def test_the_table_that_comes_with_the_fixtures_is_whole() -> None:
    path = Path(__file__).parents[2] / "fixtures" / "prices.toml"
    assert read_prices(path)["vcpu-hour"].unit == "vCPU-hour"


def test_a_source_that_is_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="vcpu-hour"):
        read_prices(write(tmp_path, ENTRY.replace("course notes", " ")))


@pytest.mark.parametrize("text", ["not toml at all [", "vcpu-hour = 3"])
def test_what_is_no_price_table_is_an_input_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError):
        read_prices(write(tmp_path, text))


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_prices(tmp_path / "none.toml")
