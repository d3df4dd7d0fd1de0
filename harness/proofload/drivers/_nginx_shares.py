"""Which buckets of the users belong to the canary, as files that nginx looks for.

nginx puts every user into one of BUCKETS buckets by a hash of its own, and asks for each request whether a file of
the bucket's number exists: if so, the request is the canary's. A move makes or removes such files. Nothing is
reloaded: no worker leaves, no connection is closed, and the very next request follows. A reload would close idle
connections at the instant a client may be writing to one of them.
"""

from __future__ import annotations

import os
from pathlib import Path

from proofload.errors import InputError

BUCKETS = 1000
"""A share is told to a tenth of a percent; a share above none is never rounded to none."""


class Shares:
    """The canary's buckets, in a folder of their own. None at first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        folder.mkdir(parents=True)

    def give(self, canary_share: float) -> int:
        """The canary gets the first so many buckets, so that one that grows keeps its users. Returns how many."""
        count = buckets_of(canary_share)
        for bucket in range(self._count, count):
            os.close(os.open(self._folder / str(bucket), os.O_CREAT | os.O_WRONLY, 0o644))
        for bucket in reversed(range(count, self._count)):
            (self._folder / str(bucket)).unlink(missing_ok=True)
        self._count = count
        return count


def buckets_of(canary_share: float) -> int:
    """Buckets for a share of 0 to 1; some for any share above 0, not all for any below 1. Raises InputError."""
    if not 0.0 <= canary_share <= 1.0:
        raise InputError(f"{canary_share:g} is not a share of the traffic", remedy="give one from 0 to 1")
    count = round(canary_share * BUCKETS)
    if canary_share > 0.0:
        count = max(1, count)
    return count if canary_share == 1.0 else min(count, BUCKETS - 1)
