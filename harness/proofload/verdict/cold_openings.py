"""Which openings fail, which are slow, and how often windows of the warm instance look the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from proofload.analysis.openings import Requests, WarmLevel, Window, is_failing, is_slow, opening
from proofload.verdict.cold import Harm

BLIND = 5.0
"""Margins by which a warm instance may stall in a quarter of its windows before it hides what is looked for."""


@dataclass(frozen=True, slots=True)
class Opening:
    """One life's first moments."""

    window: Window
    failing: bool
    """Requests fail although it says ready."""
    slow: bool | None
    """None: nothing was answered that could be timed."""


def opened(requests: Requests, length_ns: int, warm: WarmLevel, penalty_ms: float) -> Opening:
    """`requests`: at least one.

    Where the very first request is answered and answers are slow, those that fail later are refused because of the
    slowness: that is the finding then. Where requests fail first, slowness is judged from the first one after them.
    """
    window = opening(requests, length_ns)
    slow = is_slow(window, warm, penalty_ms)
    failing = is_failing(window, warm) and (bool(requests.bad[0]) or not slow)
    if failing:
        after = int(np.flatnonzero(requests.bad)[-1]) + 1
        rest = Requests(
            requests.due_ns[after:], requests.done_ns[after:], requests.latency_ms[after:], requests.bad[after:]
        )
        window_after = opening(rest, length_ns)
        return Opening(window, failing, is_slow(window_after, warm, penalty_ms) if window_after.worst_ms else None)
    return Opening(window, failing, slow if window.worst_ms else None)


def failing_harm(openings: Sequence[Opening], warm: WarmLevel | None) -> Harm:
    return _harm([one.failing for one in openings], warm, is_failing)


def slow_harm(openings: Sequence[Opening], warm: WarmLevel | None, penalty_ms: float) -> Harm:
    judged = [one.slow for one in openings if one.slow is not None]
    return _harm(judged, warm, lambda window, level: is_slow(window, level, penalty_ms))


def cannot_compare(openings: Sequence[Opening], warm: WarmLevel, penalty_ms: float) -> str:
    """Why the warm stretch is no measure of first answers, or empty: it stalls itself, or is slower than they are."""
    if warm.worst_ms - warm.median_ms > BLIND * penalty_ms:
        return f"the warm instance itself takes up to {warm.worst_ms:,.0f} ms now and then"
    medians = [one.window.median_ms for one in openings if one.slow is False]
    if medians and warm.median_ms > float(np.median(medians)) + penalty_ms:
        return (
            f"the stretch that was to be warm is slower ({warm.median_ms:,.0f} ms in the median) than what came before"
        )
    return ""


def _harm(marked: Sequence[bool], warm: WarmLevel | None, looks_so: Callable[[Window, WarmLevel], bool]) -> Harm:
    if warm is None:
        return Harm(sum(marked), len(marked), 0, 0)
    alike = sum(looks_so(window, warm) for window in warm.windows)
    return Harm(sum(marked), len(marked), alike, len(warm.windows))
