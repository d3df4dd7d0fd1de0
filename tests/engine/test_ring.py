"""Shared sample columns: nothing is lost or doubled, whatever the order of writing and draining."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proofload.engine.ring import Ring


@pytest.fixture
def ring() -> Iterator[Ring]:
    ring = Ring.allocate(1000)
    yield ring
    ring.close()


def write(ring: Ring, count: int) -> None:
    first = ring.planned
    for slots, part in ring.slots(first, count):
        ring.arrays["seq"][slots] = np.arange(first, first + count)[part]
    ring.planned = ring.settled = first + count


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 16_000), max_size=12))
def test_rows_come_out_once_each_and_in_order_across_the_wrap(counts: list[int]) -> None:
    ring = Ring.allocate(1000)
    try:
        assert ring.capacity == 16_384
        seen: list[int] = []
        for count in counts:
            write(ring, count)
            seen += ring.drain()["seq"].tolist()
        assert seen == list(range(sum(counts)))
        assert len(ring.drain()) == 0
    finally:
        ring.close()


def test_rows_that_are_not_settled_stay(ring: Ring) -> None:
    write(ring, 10)
    ring.planned = 20
    assert len(ring.drain()) == 10
    ring.settled = 15
    assert len(ring.drain()) == 5


def test_names_are_numbered_from_one_and_shared(ring: Ring) -> None:
    assert ring.intern("error", "reset") == 1
    assert ring.intern("version", "reset") == 2
    assert ring.intern("error", "reset") == 1
    assert ring.names() == [("error", "reset"), ("version", "reset")]


def test_the_list_of_names_is_bounded_and_hostile_texts_survive(ring: Ring) -> None:
    numbers = {ring.intern("error", f"\0\n☃{index}" * 100) for index in range(5000)}
    assert len(ring.names()) <= 2001
    assert ring.names()[max(numbers) - 1] == ("error", "(other)")
