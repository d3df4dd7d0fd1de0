"""When a batch is big enough: a pure rule from the depth of the queue to (how many, how long to wait for them)."""

from __future__ import annotations

from collections.abc import Callable

Policy = Callable[[int], tuple[int, float]]
"""Requests at hand (the first one included) -> (size to aim for, seconds to wait for it at most)."""


def static(max_batch: int, max_delay_s: float) -> Policy:
    """Always waits up to the delay for a full batch: even-paced load fills it, an idle server answers late."""

    def plan(at_hand: int) -> tuple[int, float]:
        return max_batch, (0.0 if at_hand >= max_batch else max_delay_s)

    return plan


def adaptive(max_batch: int, max_delay_s: float) -> Policy:
    """Takes what is there while the queue is shallow, and waits only when depth shows that company is coming.

    Up to a quarter of a batch at hand: no wait, and a batch of just those. Beyond, the delay grows in proportion
    to the depth up to the full one; a full batch waits for nobody. So the batch grows with the depth, and a server
    that is idle answers at once.
    """
    shallow = max(1, max_batch // 4)

    def plan(at_hand: int) -> tuple[int, float]:
        if at_hand <= shallow:
            return at_hand, 0.0
        if at_hand >= max_batch:
            return max_batch, 0.0
        return max_batch, max_delay_s * (at_hand - shallow) / (max_batch - shallow)

    return plan
