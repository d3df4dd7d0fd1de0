"""Waits for what nothing announces: another process's doing, or a thread's."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 60.0
"""Far beyond what any machine needs."""


def eventually(claim: Callable[[], object], *, every_s: float = 0.01) -> bool:
    """Whether the claim came to hold; asked again and again until it does, or patience has ended."""
    patience = time.monotonic() + PATIENCE_S
    while not claim():
        if time.monotonic() > patience:
            return False
        time.sleep(every_s)
    return True
