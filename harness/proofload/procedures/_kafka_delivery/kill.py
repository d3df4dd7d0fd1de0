"""Killing a worker in the midst of its work."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from proofload._process_trees import Root
from proofload.procedures._kafka_delivery.stream import send
from proofload.procedures._kafka_delivery.watch import Watch
from proofload.target_model import Target
from proofload.transports import _kafka_client as client

Blow = Literal["in the midst", "too late", "missed"]
"""What a kill fell upon: work in hand, a worker that may have answered everything, or nothing: it was not permitted."""
_PATIENCE_S = 2.0
_OPEN_S = 15.0
_FIRST = 3
"""The blow falls when so many answers were seen: a fast worker has answered most of a pile a few milliseconds later."""
_PART = 0.9
"""A worker that answered more than this of what had piled up may have had nothing in hand, and a kill shows nothing."""
_LAST_S = 0.3
"""For what it had sent off when the blow fell."""


class Replies:
    """Tells at once, within a few milliseconds, when answers come: sooner than the recorded samples do."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer

    def forget(self) -> None:
        """Those that came so far do not count."""
        while self._consumer.consume(1000, 0.05):
            pass

    def rest(self) -> int:
        """How many more came, until none do."""
        more, until = 0, time.monotonic() + _LAST_S
        while time.monotonic() < until:
            more += sum(message.error() is None for message in self._consumer.consume(1000, 0.05))
        return more

    def wait_for(self, count: int, patience_s: float) -> bool:
        """Returns as soon as so many have come; False when it takes too long."""
        until = time.monotonic() + patience_s
        while count > 0:
            if time.monotonic() > until:
                return False
            message = self._consumer.poll(0.05)
            count -= message is not None and message.error() is None
        return True


@contextmanager
def replies_of(target: Target) -> Iterator[Replies]:
    """What is written into the target's topic of replies from now on. Raises TargetError."""
    servers = client.bootstrap_servers(target.url)
    topic = target.response.topic or "predictions"
    partitions, mock = client.find_topic(client.asker(servers), topic, servers, _OPEN_S)
    consumer = client.consumer(
        servers, name="proofload-watch", mock=mock, max_answer_bytes=1 << 20, on_error=lambda _error: None
    )
    try:
        client.assign_at_end(consumer, topic, partitions, _OPEN_S)
        yield Replies(consumer)
    finally:
        consumer.close()


def kill_in_the_midst(
    processes: Sequence[Root], replies: Replies, watch: Watch, *, pile_up_s: float, rate_rps: float
) -> Blow:
    """SIGKILL to a worker that has much in hand.

    At light load a worker seldom has anything in hand. So it is halted until messages have piled up, let go, and
    killed as soon as its first answers are seen. How many it gave in all tells whether it was in the midst of them.
    """
    halted = send(processes, signal.SIGSTOP)
    if halted:
        watch.calm(pile_up_s)
        replies.forget()
        send(processes, signal.SIGCONT)
        halted = replies.wait_for(_FIRST, _PATIENCE_S)
    if not send(processes, signal.SIGKILL):
        return "missed"
    midst = halted and _FIRST + replies.rest() <= _PART * rate_rps * pile_up_s
    return "in the midst" if midst else "too late"
