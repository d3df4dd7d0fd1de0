"""When a batch is big enough."""

from __future__ import annotations

import pytest

from proofload_servers.serving.policy import adaptive, static


def test_static_waits_for_a_full_batch_and_for_nobody_once_it_is_full() -> None:
    plan = static(8, 0.002)
    assert plan(1) == (8, 0.002)
    assert plan(8) == (8, 0.0)
    assert plan(50) == (8, 0.0)


def test_adaptive_never_waits_while_the_queue_is_shallow() -> None:
    plan = adaptive(16, 0.002)
    assert plan(1) == (1, 0.0)
    assert plan(4) == (4, 0.0)


def test_adaptive_delay_grows_with_depth_until_the_batch_is_full() -> None:
    plan = adaptive(16, 0.002)
    delays = [plan(depth)[1] for depth in range(4, 16)]
    assert delays == sorted(delays)
    assert 0.0 < delays[-1] < 0.002
    assert plan(16) == (16, 0.0)


@pytest.mark.parametrize("depth", [1, 2, 7, 1000])
def test_a_largest_batch_of_one_means_no_batching_at_all(depth: int) -> None:
    assert adaptive(1, 0.002)(depth) == (1, 0.0)
    assert static(1, 0.002)(depth) == (1, 0.0)
