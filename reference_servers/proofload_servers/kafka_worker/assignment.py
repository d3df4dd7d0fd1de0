"""This worker's share of the input topic: taken over, kept track of, handed back with everything finished."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

from .offsets import PartitionOffsets

LOG = logging.getLogger("proofload_servers.kafka")
ASKING_S = 10.0
UNSETTLED_S = 60.0  # a predecessor's open transaction times out well before
NOT_FETCHED_YET = -1001


class Assignment:
    """Offsets of the assigned partitions. Everything here runs on the consumer's thread.

    `settle(partitions)` is to wait, for a bounded time, until nothing of them is in flight, and to commit that.
    """

    def __init__(self, *, from_the_end: bool, settle: Callable[[Sequence[int]], None]) -> None:
        self._from_the_end = from_the_end
        self._settle = settle
        self._offsets: dict[int, PartitionOffsets] = {}
        self._topic = ""
        self.given = False
        """The group has decided, be it that this worker gets nothing for now."""
        self.share = 0
        """Rises whenever partitions are taken away: what was read before is not this worker's to answer any more."""

    def take(self, partition: int, offset: int) -> None:
        self._offsets[partition].take(offset)

    def finish(self, partition: int, offset: int) -> None:
        """Ignored for a partition that is not this worker's any more: another will answer again."""
        offsets = self._offsets.get(partition)
        if offsets is not None:
            offsets.finish(offset)

    def in_flight(self, partitions: Sequence[int]) -> int:
        return sum(len(self._offsets[number]) for number in partitions if number in self._offsets)

    def holds(self, partition: int) -> bool:
        return partition in self._offsets

    def positions(self) -> list[TopicPartition]:
        """What may be committed that could not be at the last call."""
        return list(self._positions(list(self._offsets)))

    def commit(self, consumer: Any, *, wait: bool = False) -> None:
        """Commit what has come about since. A commit that fails is logged and made good by the next."""
        positions = self.positions()
        if positions:
            try:
                consumer.commit(offsets=positions, asynchronous=not wait)
            except KafkaException as exc:
                LOG.warning("a commit failed: %s", exc.args[0])

    def fetching(self, consumer: Any) -> bool:
        """Whether the broker has answered a fetch of every assigned partition."""
        return self.given and all(
            consumer.get_watermark_offsets(one, cached=True)[1] != NOT_FETCHED_YET for one in self.partitions()
        )

    def partitions(self) -> list[TopicPartition]:
        return [TopicPartition(self._topic, number) for number in self._offsets]

    def skip_to_oldest(self, consumer: Any, partition: int) -> None:
        """Read this partition on from the oldest message there is. A seek is refused in this state; assigning the
        same partitions anew is not."""
        here = consumer.position(self.partitions())
        for one in here:
            if one.partition == partition:
                one.offset = OFFSET_BEGINNING
        consumer.assign(here)

    # What the group tells us, from within the consumer's poll.

    def on_assign(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        """Where the group never committed, the starting point is committed at once: a worker that dies before its
        first commit must leave a mark behind, or its successor would begin after the requests it lost."""
        if partitions:
            self._topic = partitions[0].topic
            fresh = [one for one in committed(consumer, partitions) if one.offset < 0]
            starts = {one.partition: self._start(consumer, one) for one in fresh}
            for one in partitions:
                one.offset = starts.get(one.partition, one.offset)
            marks = [TopicPartition(one.topic, one.partition, starts[one.partition]) for one in fresh]
            if marks:
                consumer.commit(offsets=marks, asynchronous=False)
        consumer.assign(partitions)
        self._offsets = {one.partition: PartitionOffsets() for one in partitions}
        self.given = True
        LOG.info("assigned partitions %s", sorted(self._offsets))

    def on_revoke(self, _consumer: Any, partitions: list[TopicPartition]) -> None:
        numbers = [one.partition for one in partitions]
        self._settle(numbers)
        self._drop(numbers)

    def on_lost(self, _consumer: Any, partitions: list[TopicPartition]) -> None:
        """They are another worker's already: nothing may be committed."""
        self._drop([one.partition for one in partitions])
        LOG.warning("lost partitions %s", [one.partition for one in partitions])

    def _drop(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._offsets.pop(number, None)
        self.given = False
        self.share += 1

    def _start(self, consumer: Any, one: TopicPartition) -> int:
        low, high = consumer.get_watermark_offsets(one, timeout=ASKING_S)
        return int(high if self._from_the_end else low)

    def _positions(self, numbers: Sequence[int]) -> Iterator[TopicPartition]:
        for number in numbers:
            position = self._offsets[number].committable()
            if position is not None:
                yield TopicPartition(self._topic, number, position)


def committed(consumer: Any, partitions: list[TopicPartition]) -> list[TopicPartition]:
    """Where the group is. While a transaction of a predecessor is open, that is not decided: to begin anywhere then
    would be to answer again what it may yet commit."""
    until = time.monotonic() + UNSETTLED_S
    while True:
        try:
            found: list[TopicPartition] = consumer.committed(partitions, timeout=ASKING_S)
            problem = next((one.error for one in found if one.error is not None), None)
        except KafkaException as exc:
            problem = exc.args[0]
        if problem is None:
            return found
        if problem.code() != KafkaError.UNSTABLE_OFFSET_COMMIT or time.monotonic() > until:
            raise KafkaException(problem)
        time.sleep(ASKING_S / 100)
