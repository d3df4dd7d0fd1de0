"""The cache in memory against the plainest one there is, and against the clock."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from proofload_servers.serving.cache.counts import CacheCounts
from proofload_servers.serving.cache.memory import MemoryCache

calmly = settings(deadline=None)  # a busy machine is no failure
ROOM = 3
TTL_S = 10.0


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def cache_of(entries: int = ROOM, ttl_s: float = TTL_S) -> tuple[MemoryCache, Clock, CollectorRegistry]:
    registry, clock = CollectorRegistry(), Clock()
    return MemoryCache(entries, ttl_s, CacheCounts(registry, remote=False), now_s=clock), clock, registry


def asked(cache: MemoryCache, *keys: bytes) -> list[Any]:
    """What `look_up` finds; it must call back once, and before it returns."""
    answers: list[Sequence[Any] | None] = []
    cache.look_up(keys, answers.append)
    (answer,) = answers
    assert answer is not None
    return list(answer)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("keep"), st.integers(0, 5)),
        st.tuples(st.just("ask"), st.integers(0, 5)),
        st.tuples(st.just("wait"), st.integers(1, 12)),
    ),
    max_size=60,
)


@calmly
@given(steps)
def test_it_finds_what_the_plainest_cache_with_the_same_rules_finds(steps: list[tuple[str, int]]) -> None:
    cache, clock, registry = cache_of()
    plain: list[tuple[int, float, float]] = []  # (key, prediction, kept at), the most recently used last
    number = evictions = 0
    for what, key in steps:
        name = b"%d" % key
        if what == "wait":
            clock.now_s += key
        elif what == "keep":
            number += 1
            cache.keep(name, number / 8)
            plain = [*(one for one in plain if one[0] != key), (key, number / 8, clock.now_s)]
            evictions += len(plain) > ROOM
            plain = plain[-ROOM:]
        else:
            found = next((one for one in plain if one[0] == key), None)
            plain = [one for one in plain if one[0] != key]
            fresh = found is not None and clock.now_s - found[2] < TTL_S
            if found is not None and fresh:
                plain.append(found)
            assert asked(cache, name) == [found[1] if found is not None and fresh else None]
        assert len(cache) == len(plain) <= ROOM
    assert registry.get_sample_value("proofload_cache_evictions_total") == evictions
    assert (registry.get_sample_value("proofload_cache_entries") or 0.0) == len(plain)


def test_several_are_looked_up_at_once_in_the_order_asked() -> None:
    cache, _, _ = cache_of()
    cache.keep(b"a", 1.0)
    cache.keep(b"c", {"class": 3, "score": 0.5})
    assert asked(cache, b"c", b"b", b"a") == [{"class": 3, "score": 0.5}, None, 1.0]


def test_without_a_time_to_live_an_entry_stays_while_there_is_room() -> None:
    cache, clock, _ = cache_of(ttl_s=0.0)
    cache.keep(b"a", 1.0)
    clock.now_s = 1e9
    assert asked(cache, b"a") == [1.0]


def test_what_was_handed_out_can_be_changed_without_changing_what_is_kept() -> None:
    cache, _, _ = cache_of()
    cache.keep(b"a", {"class": 3, "score": 0.5})
    asked(cache, b"a")[0]["class"] = 99
    assert asked(cache, b"a") == [{"class": 3, "score": 0.5}]


def test_an_entry_takes_a_few_hundred_bytes() -> None:
    cache, _, _ = cache_of(entries=1000)
    tracemalloc.start()
    try:
        for number in range(1000):
            cache.keep(number.to_bytes(32, "big"), {"class": number, "score": number / 7})
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(cache) == 1000
    assert taken < 1000 * 600


def test_nan_is_not_kept() -> None:
    cache, _, _ = cache_of()
    cache.keep(b"a", float("nan"))
    assert asked(cache, b"a") == [None]
