"""The account of a stream agrees with its definition, message by message, and stays bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proofload.transports import _kafka_delivery
from proofload.transports._kafka_delivery import Delivery, Stretches


def overtaken(answers: list[tuple[int, int, int]]) -> int:
    """By the definition: answers (number, key, partition) before which a later one of their kind stands."""
    return sum(
        any(earlier[0] > number and earlier[1:] == (key, partition) for earlier in answers[:place])
        for place, (number, key, partition) in enumerate(answers)
    )


@given(st.permutations(range(40)), st.lists(st.integers(0, 1), min_size=40, max_size=40), st.integers(1, 5))
def test_reordering_is_what_rfc_4737_says_it_is(order: list[int], partitions: list[int], keys: int) -> None:
    delivery = Delivery(keys)
    for number in range(40):
        delivery.sent(number, payload=number * 7)
    for number in order:
        delivery.first_answer(number, row=number, partition=partitions[number])
    news = delivery.news() or {"counts": {}}
    expected = overtaken([(number, number * 7 % keys, partitions[number]) for number in order])
    assert news["counts"].get("reordered", 0) == expected


def test_messages_of_one_payload_share_a_key_and_without_keys_none_has_one() -> None:
    assert Delivery(8).sent(0, payload=11) == b"key-3"
    silent = Delivery(0)
    assert silent.sent(0, payload=11) is None
    silent.sent(1, payload=12)
    silent.first_answer(1, 1, 0)
    silent.first_answer(0, 0, 0)
    assert silent.news() is None


def test_news_are_told_once_and_in_stretches() -> None:
    delivery = Delivery(1)
    for row in (4, 5, 6, 2, 2):
        delivery.duplicated(row)
    delivery.late(9)
    assert delivery.news() == {
        "counts": {"duplicated": 5, "late": 1},
        "rows": {"late": [[9, 9]], "duplicated": [[4, 6], [2, 2], [2, 2]]},
    }
    assert delivery.news() is None


def test_a_row_that_is_forgotten_is_counted_and_not_placed() -> None:
    delivery = Delivery(1)
    delivery.duplicated(-1)
    assert delivery.news() == {"counts": {"duplicated": 1}, "rows": {"duplicated": []}}


def test_stretches_are_bounded_at_once_and_in_all() -> None:
    spans = Stretches(left=_kafka_delivery.PLACED_AT_ONCE + 3)
    for row in range(0, 4 * _kafka_delivery.PLACED_AT_ONCE, 2):
        spans.add(row)
    assert len(spans.take()) == _kafka_delivery.PLACED_AT_ONCE
    for row in range(0, 100, 2):
        spans.add(row)
    assert len(spans.take()) == 3
    spans.add(1)
    assert spans.take() == []


def test_the_memory_of_keys_is_a_window() -> None:
    delivery = Delivery(3, window=4)
    for number in range(9):
        delivery.sent(number, payload=number)
    delivery.first_answer(8, 8, 0)
    delivery.first_answer(5, 5, 0)
    news = delivery.news()
    assert news is not None
    assert news["counts"] == {"reordered": 1}
