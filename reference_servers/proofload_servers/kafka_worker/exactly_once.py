"""Exactly once: replies and the offsets of their requests reach the broker in one transaction, or not at all.

A transaction holds the replies to the requests that come next in each partition, without a gap, and the offsets
behind them. So it does not matter which of them a successor reads again: none was answered, or all were. Requests
that were answered out of turn wait for those before them.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from prometheus_client import Counter

from proofload_servers.serving import Failed, StartupError

from . import messages
from .assignment import committed
from .clients import make_producer
from .messages import Incoming, Reply
from .worker import STEP_S, Worker, client_error

LOG = logging.getLogger("proofload_servers.kafka")
ASKING_S = 1.0  # one call into the client; between two, a signal is heard
STUCK_S = 5.0  # a call that is so much late will not return
LONGEST_S = 300.0  # a broker that is away for longer ends the worker, as it does one without transactions
TURN_S = 0.002  # while replies are being computed: they wait for this thread, which waits for requests
FAILURES_IN_A_ROW = 20
PAUSE_S = 0.1


class ExactlyOnceWorker(Worker):
    """As Worker. All that concerns transactions happens on the consumer's thread; `_in_flight` counts requests whose
    transaction is not committed."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._computed: deque[tuple[Incoming, Reply]] = deque()
        self._kept: defaultdict[int, dict[int, tuple[Incoming, Reply]]] = defaultdict(dict)
        self._reached: dict[int, TopicPartition] = {}
        self._share = self._assignment.share
        self._due = 0.0
        self._failures_in_a_row = 0
        registry = self._service.metrics.registry
        self._committed = Counter(
            "proofload_kafka_transactions_total", "Transactions that were committed", registry=registry
        )
        self._aborted = Counter(
            "proofload_kafka_transactions_aborted_total", "Transactions that were given up", registry=registry
        )

    def run(self) -> bool:
        """As Worker's. Raises StartupError when the broker offers no transactions."""
        try:
            self._insist(self._producer.init_transactions)
        except KafkaException as exc:
            raise StartupError(
                f"--guarantee exactly-once: the broker at {self._options.broker} offers no transactions: "
                f"{exc.args[0]}; see its transaction.state.log.* settings, or let the worker answer at least once"
            ) from exc
        return super().run()

    def _send(self, incoming: Incoming, reply: Reply) -> None:
        self._computed.append((incoming, reply))

    def _patience_s(self) -> float:
        return TURN_S if self._in_flight else super()._patience_s()

    def _turn(self) -> None:
        self._producer.poll(0)
        self._gather()
        if time.monotonic() >= self._due:
            self._transact()

    def _wait(self) -> None:
        self._gather()
        if self._reached:
            self._transact()
        else:
            self._producer.poll(STEP_S)

    def _owed(self, partitions: Sequence[int]) -> int:
        self._gather()
        return super()._owed(partitions) + sum(number in self._reached for number in partitions)

    def _commit(self) -> None:
        self._gather()
        self._transact()

    # From computed replies to what comes next in each partition.

    def _gather(self) -> None:
        if self._share != self._assignment.share:
            self._forget()
        while self._computed:
            incoming, reply = self._computed.popleft()
            if incoming.share != self._share or not self._assignment.holds(incoming.partition):
                self._in_flight -= 1
                continue
            self._kept[incoming.partition][incoming.offset] = (incoming, reply)
            self._assignment.finish(incoming.partition, incoming.offset)
        self._reached |= {one.partition: one for one in self._assignment.positions()}

    def _forget(self) -> None:
        """Partitions were taken away while replies waited here: others will answer those requests."""
        self._share = self._assignment.share
        self._in_flight -= sum(map(len, self._kept.values()))
        self._kept.clear()
        self._reached.clear()

    # Transactions.

    def _transact(self) -> None:
        """One transaction of all that comes next; what it cannot commit is offered again by the next call."""
        if not self._reached or self._failure:
            return
        offered = [
            (incoming, reply)
            for number, position in self._reached.items()
            for offset, (incoming, reply) in sorted(self._kept[number].items())
            if offset < position.offset
        ]
        try:
            self._producer.begin_transaction()
            for incoming, reply in offered:
                self._offer(incoming, reply)
            group = self._consumer.consumer_group_metadata()
            self._insist(self._send_offsets, list(self._reached.values()), group)
            self._insist(self._producer.commit_transaction)
        except KafkaException as exc:
            self._undo(exc.args[0])
            return
        for incoming, _ in offered:
            del self._kept[incoming.partition][incoming.offset]
        self._in_flight -= len(offered)
        self._reached.clear()
        self._committed.inc()
        self._failures_in_a_row = 0
        self._due = time.monotonic() + self._options.transaction_ms / 1e3

    def _offer(self, incoming: Incoming, reply: Reply) -> None:
        try:
            self._produce(incoming, reply)
        except KafkaException as exc:
            if exc.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                raise
            LOG.error("a reply cannot be sent: %s", exc.args[0], extra={"request_id": incoming.request_id})
            self._produce(incoming, messages.reply_to(incoming, Failed()))

    def _send_offsets(self, positions: list[TopicPartition], group: Any, timeout_s: float) -> None:
        """On a thread of its own, which is left behind if it hangs: after its broker was away, the client (librdkafka
        2.16, issues 5456 and 5511) may wait for the group's coordinator for ever, whatever the time-out."""
        outcome: queue.Queue[KafkaException | None] = queue.Queue()

        def send(producer: Any) -> None:
            try:
                producer.send_offsets_to_transaction(positions, group, timeout_s)
            except KafkaException as exc:
                outcome.put(exc)
            else:
                outcome.put(None)

        threading.Thread(target=send, args=(self._producer,), name="send-offsets", daemon=True).start()
        try:
            problem = outcome.get(timeout=timeout_s + STUCK_S)
        except queue.Empty:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the client hangs", fatal=True)) from None
        if problem is not None:
            raise problem

    def _undo(self, error: KafkaError) -> None:
        """Readers never see what was in the transaction."""
        self._aborted.inc()
        self._failures_in_a_row += 1
        self._due = time.monotonic() + PAUSE_S
        LOG.warning("a transaction was given up: %s", error)
        try:
            if self._failures_in_a_row > FAILURES_IN_A_ROW:
                raise KafkaException(error)
            self._clear_away(error)
        except KafkaException as exc:
            self._failure = f"nothing can be committed any more: {exc.args[0]}"

    def _clear_away(self, error: KafkaError) -> None:
        """Make room for another transaction. Raises KafkaException when there will be none."""
        if error.txn_requires_abort() and not error.fatal():
            try:
                self._insist(self._producer.abort_transaction)
            except KafkaException as exc:
                error = exc.args[0]
            else:
                return
        if self._stopping or not error.fatal():
            raise KafkaException(error)
        self._begin_anew()

    def _begin_anew(self) -> None:
        """The producer is of no more use: shut out by the broker, which has not heard of its transaction for too long,
        or it hangs. What became of the transaction is not known here; what is committed tells."""
        self._producer.purge()
        self._producer = make_producer(self._options, client_error)
        self._insist(self._producer.init_transactions)
        for one in committed(self._consumer, list(self._reached.values())):
            kept = self._kept[one.partition]
            answered = [offset for offset in kept if offset < one.offset]
            for offset in answered:
                del kept[offset]
            self._in_flight -= len(answered)
            if self._reached[one.partition].offset <= one.offset:
                del self._reached[one.partition]

    def _insist(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Again and again while the client says that it may help."""
        until = time.monotonic() + (self._settings.drain_s if self._stopping else LONGEST_S)
        while True:
            try:
                call(*arguments, ASKING_S)
            except KafkaException as exc:
                if not exc.args[0].retriable() or time.monotonic() > until:
                    raise
                time.sleep(STEP_S)
            else:
                return
            if self._stopping:
                until = min(until, time.monotonic() + self._settings.drain_s)
