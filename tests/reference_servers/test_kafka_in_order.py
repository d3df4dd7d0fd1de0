"""Answers of a partition are let go in the order of its requests, whoever finds them and whenever."""

from __future__ import annotations

import random
import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from proofload_servers.kafka_worker.in_order import Done, InOrder
from proofload_servers.serving import Failed, Result

WAIT_S = 20.0


class Row:
    """Requests of some partitions, and the places of their answers in the order in which they were let go."""

    def __init__(self, partitions: list[int]) -> None:
        self.went: dict[int, list[int]] = {partition: [] for partition in partitions}
        in_order = InOrder()
        self.arrive: list[Done] = [
            in_order.next(partition, self._goes(partition, place)) for place, partition in enumerate(partitions)
        ]

    def _goes(self, partition: int, place: int) -> Done:
        return lambda _result: self.went[partition].append(place)

    def in_order(self, partitions: list[int]) -> bool:
        return all(
            went == [place for place, one in enumerate(partitions) if one == partition]
            for partition, went in self.went.items()
        )


@settings(deadline=None)
@given(st.lists(st.integers(0, 2), max_size=30), st.randoms())
def test_in_whatever_order_they_arrive(partitions: list[int], chance: random.Random) -> None:
    row = Row(partitions)
    arrivals = list(row.arrive)
    chance.shuffle(arrivals)
    for arrive in arrivals:
        arrive(Failed())
    assert row.in_order(partitions)


def test_one_partition_does_not_wait_for_another() -> None:
    row = Row([0, 1, 0, 1])
    row.arrive[1](Failed())
    row.arrive[2](Failed())
    assert row.went == {0: [], 1: [1]}


def test_from_several_threads_at_once() -> None:
    partitions = [number % 3 for number in range(3000)]
    row = Row(partitions)
    arrivals = list(row.arrive)
    random.Random(1).shuffle(arrivals)
    begun = threading.Barrier(4)

    def arrive(place: int) -> None:
        begun.wait(WAIT_S)
        for one in arrivals[place::4]:
            one(Failed())

    threads = [threading.Thread(target=arrive, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert row.in_order(partitions)


def test_a_broken_callback_holds_nobody_up() -> None:
    in_order = InOrder()
    went: list[Result] = []

    def broken(_result: Result) -> None:
        raise ZeroDivisionError

    first, second = in_order.next(0, broken), in_order.next(0, went.append)
    second(Failed())
    assert went == []
    first(Failed())
    assert len(went) == 1
