"""Which arm a request goes to: by a stable hash of its user, or by chance where it has none.

The hash is the same in every process and for every share, so an arm that grows keeps the users it has.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

_SCALE = float(1 << 64)


def place_of(user: str, salt: str) -> float:
    """Where a user stands between 0 and 1, the same in every process."""
    digest = hashlib.sha256(f"{salt}:{user}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / _SCALE


class Routing:
    """Shares of the traffic by arm. The highest arm takes the first part of the line from 0 to 1, and so on down."""

    def __init__(self, users: Sequence[str | None], salt: str, forced: AbstractSet[int], *, seed: int) -> None:
        """`users[i]`: the user of payload i, None: none. `forced`: payloads that go to arm 1 whatever its share, as
        long as it is named among the arms; behind a router it is the router's to force them."""
        self._places = [None if user is None else place_of(user, salt) for user in users]
        self._forced = forced
        self._draw = random.Random(seed).random  # noqa: S311  assignment, not a secret
        self._bounds: list[tuple[float, int]] = []
        self._lowest = 0
        self._highest = 0

    def share(self, shares: Mapping[int, float]) -> None:
        """From now on, arm k gets `shares[k]`; what they leave goes to the lowest arm named."""
        bound, bounds = 0.0, []
        for arm in sorted(shares, reverse=True):
            bound += shares[arm]
            bounds.append((bound, arm))
        self._lowest, self._highest = min(shares), max(shares)
        self._bounds = [one for one in bounds if one[1] != self._lowest]

    def arm(self, payload: int) -> int:
        if payload in self._forced and self._highest > 0:
            return 1
        place = self._places[payload]
        if place is None:
            place = self._draw()
        for bound, arm in self._bounds:
            if place < bound:
                return arm
        return self._lowest
