"""Which offsets may be committed: at least once means never past a request whose reply is not delivered. Pure."""

from __future__ import annotations

from collections import deque


class PartitionOffsets:
    """One assigned partition. Offsets are taken in order and finished in any order."""

    def __init__(self) -> None:
        self._taken: deque[int] = deque()
        self._finished: set[int] = set()
        self._position: int | None = None

    def __len__(self) -> int:
        """Requests taken and not finished."""
        return len(self._taken) - len(self._finished)

    def take(self, offset: int) -> None:
        self._taken.append(offset)

    def finish(self, offset: int) -> None:
        """The reply to this request is delivered."""
        self._finished.add(offset)
        while self._taken and self._taken[0] in self._finished:
            done = self._taken.popleft()
            self._finished.discard(done)
            self._position = done + 1

    def committable(self) -> int | None:
        """The position to commit (the next offset to read), once; None when nothing has come about since."""
        position, self._position = self._position, None
        return position
