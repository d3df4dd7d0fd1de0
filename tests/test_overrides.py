"""--set KEY=VALUE."""

from __future__ import annotations

from typing import Any

import pytest

from proofload.errors import InputError
from proofload.overrides import applied, flattened, parsed, written


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("rate_rps=500", 500),
        ("rate_rps=1e3", 1000.0),
        ("rate_rps = 0.5", 0.5),
        ("arrival=poisson", "poisson"),
        ('arrival="poisson"', "poisson"),
        ("payloads=my file.jsonl", "my file.jsonl"),
        ("url=http://h:1/p?a=b", "http://h:1/p?a=b"),
        ("broker=127.0.0.1:9092", "127.0.0.1:9092"),
        ("on=true", True),
        ("targets=['a', 'b']", ["a", "b"]),
        ("cost.resources={vcpu-hour = 2}", {"vcpu-hour": 2}),
        ("empty=", ""),
    ],
)
def test_a_value_is_toml_where_it_can_be_and_text_where_it_cannot(text: str, value: Any) -> None:
    assert list(parsed([text]).scenario.values()) == [value]


def test_a_line_break_in_a_value_smuggles_no_second_key_in() -> None:
    assert parsed(["name=1\nseed = 2"]).scenario == {"name": "1\nseed = 2"}


def test_target_keys_are_kept_apart_and_the_last_of_a_key_wins() -> None:
    changes = parsed(["target.response.rtol=1e-3", "seed=1", "seed=2"])
    assert changes.target == {"response.rtol": 1e-3}
    assert changes.scenario == {"seed": 2}


@pytest.mark.parametrize("text", ["rate_rps", "=3", "", " =3"])
def test_what_is_not_key_equals_value_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not KEY=VALUE"):
        parsed([text])


@pytest.mark.parametrize("text", ["targets=['a'", "a={x=1", 'b="open'])
def test_a_value_that_begins_like_toml_must_be_toml(text: str) -> None:
    with pytest.raises(InputError, match="begins like a TOML value"):
        parsed([text])


def test_dotted_keys_reach_into_tables_and_leave_the_original_alone() -> None:
    tables = {"slo": {"p99_ms": 1}, "seed": 3}
    assert applied(tables, {"slo.p50_ms": 2, "shape.to_rps": 9}) == {
        "slo": {"p99_ms": 1, "p50_ms": 2},
        "shape": {"to_rps": 9},
        "seed": 3,
    }
    assert tables == {"slo": {"p99_ms": 1}, "seed": 3}


def test_a_part_of_a_key_may_be_quoted() -> None:
    assert applied({}, {'headers."X.Y"': 1}) == {"headers": {"X.Y": 1}}


def test_reaching_into_a_value_is_refused() -> None:
    with pytest.raises(InputError, match="`seed` is a value, not a table"):
        applied({"seed": 3}, {"seed.x": 1})


@pytest.mark.parametrize("key", ["a b", "a..b", ".a", "a.", "a]", "a\nb"])
def test_what_cannot_be_a_key_is_refused(key: str) -> None:
    with pytest.raises(InputError, match="that is no key"):
        applied({}, {key: 1})


def test_what_is_written_is_read_again() -> None:
    changes = {
        "rate_rps": 1e22, "seed": 3, "arrival": 'a "b"\n\\ß', "slow": True, "edge": float("inf"), "none": {},
        "targets": ["a", "b"], 'headers."X.Y"': "v", "cost.resources": {"vcpu hour": 2.5},
    }  # fmt: skip
    assert parsed(written(changes)).scenario == changes


def test_tables_are_flattened_to_the_keys_that_they_set() -> None:
    tables = {"slo": {"p99_ms": 5}, "slo.p50_ms": 2, "request": {"headers": {"X.Y": "v", "Z": 1}}, "retry": {}}
    flat = dict(flattened(tables))
    assert flat == {"slo.p99_ms": 5, "slo.p50_ms": 2, 'request.headers."X.Y"': "v", "request.headers.Z": 1, "retry": {}}
    assert applied({}, flat) == {
        "slo": {"p99_ms": 5, "p50_ms": 2}, "request": {"headers": {"X.Y": "v", "Z": 1}}, "retry": {},
    }  # fmt: skip
