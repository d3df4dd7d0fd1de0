"""The embedded Kafka broker: the mock cluster inside librdkafka, in a process of its own.

It is what a target with `{broker}` gets unless an address is given. Good for driving a worker and for timing it
on this machine; not for verdicts about lost messages, because it forgets (see RETAINED_*). Its ways, as measured
and as its source has them:

- Topics appear when a producer asks for them, with PARTITIONS partitions each; no client setting chooses the number.
- A fetch that finds nothing is answered only after the whole `fetch.wait.max.ms`, new messages or not: clients set
  that to about 1 ms here. The cluster's id begins with CLUSTER_ID_PREFIX, by which they know.
- A fetch brings one message set a partition and looks for it from the oldest on, so many small sets make it slow:
  let the client's sticky partitioner fill them.
- A consumer group takes three seconds to settle. After that, a new member waits for about one session time-out less
  a second, whether others left, were killed or are still there.
- While it waits for members to join, it refuses every commit (REBALANCE_IN_PROGRESS), where Kafka's own coordinator
  still takes them from the members of the last generation. Even a worker that does all right is therefore made to
  repeat what it answered between its last commit and the moment it learns of the rebalance by its heartbeat: three
  seconds' worth and more. What two members of one group answer twice says nothing here; losses and order do, and so
  does everything about a worker that is alone in its group.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.errors import MeasurementError

KIND = "librdkafka mock"
CLUSTER_ID_PREFIX = "mockCluster"
PARTITIONS = 4
RETAINED_MESSAGES = 100_000
"""Per partition. The mock counts message sets; a set has at least one message, so this is the safe side."""
RETAINED_BYTES = 5 * 1024 * 1024
"""Per partition."""
RECORD_OVERHEAD_BYTES = 192
"""More than a message adds to its value: record framing, the correlation header, its share of a set's 61 bytes."""

_READY_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 3.0
_PARENT_CHECK_S = 1.0


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that is up. `kind` goes into the report: which broker it was."""

    bootstrap: str
    """host:port, the `{broker}` of target files."""
    pid: int
    kind: str = KIND


@contextmanager
def embedded_broker(log_dir: Path, cpus: Sequence[int] = ()) -> Iterator[Broker]:
    """A broker for as long as the block lasts, pinned to `cpus` (empty: left alone).

    Its standard error goes to broker.log in `log_dir`. It ends with this process, however that ends:
    its standard input is a pipe that only this process holds. Raises MeasurementError when it does not come up.
    """
    log_dir.mkdir(parents=True, exist_ok=True)
    log = log_dir / "broker.log"
    command = [sys.executable, "-m", "proofload.brokers", *(["--cpus", ",".join(map(str, cpus))] if cpus else [])]
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)
    try:
        yield Broker(bootstrap=_bootstrap(process, log), pid=process.pid)
    finally:
        _stop(process)


def is_embedded(bootstrap: str, timeout_s: float = 5.0) -> bool:
    """Whether a mock cluster answers there, whoever started it. False where nothing answers."""
    from confluent_kafka import KafkaException, Producer

    asker: Any = Producer({"bootstrap.servers": bootstrap, "log_level": 0})
    try:
        return str(asker.list_topics(timeout=timeout_s).cluster_id).startswith(CLUSTER_ID_PREFIX)
    except KafkaException:
        return False


def could_overrun(backlog: int, value_bytes: float, *, partitions: int = 1) -> bool:
    """Whether this many unconsumed messages of this mean size may have been more than the embedded broker keeps.

    `partitions` is over how many of them they surely lay evenly; 1, the safe side, assumes the worst.
    """
    in_one = backlog / partitions
    return in_one > RETAINED_MESSAGES or in_one * (value_bytes + RECORD_OVERHEAD_BYTES) > RETAINED_BYTES


def largest_backlog(sent_ns: NDArray[np.int64], answered_ns: NDArray[np.int64]) -> int:
    """The most messages that were sent and not yet answered at any one instant.

    `answered_ns` is 0 where no answer ever came; such a message counts as unconsumed from then on, because
    nobody knows better.
    """
    if not len(sent_ns):
        return 0
    sent = np.sort(sent_ns[sent_ns > 0])
    answered = np.sort(answered_ns[(answered_ns > 0) & (sent_ns > 0)])
    outstanding = np.arange(1, len(sent) + 1) - np.searchsorted(answered, sent, side="right")
    return int(outstanding.max(initial=0))


def _bootstrap(process: subprocess.Popen[bytes], log: Path) -> str:
    """The address the broker prints when it is ready."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], _READY_TIMEOUT_S)
    line = process.stdout.readline() if ready else b""
    try:
        return str(json.loads(line)["bootstrap"])
    except ValueError:
        raise MeasurementError(
            "the embedded Kafka broker did not come up",
            evidence=f"{log}: {log.read_text(encoding='utf-8', errors='replace')[-1000:] or '(empty)'}",
            cause=f"confluent-kafka is broken here, or the machine is too busy to start it in {_READY_TIMEOUT_S:g} s",
            remedy='run `proofload doctor`, or give a broker of your own: --set target.broker="host:port"',
        ) from None


def _stop(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# The other side: what runs in the broker's own process.


def serve(arguments: Sequence[str]) -> int:
    """Start the mock cluster, print {"bootstrap": …}, live until standard input ends or SIGTERM."""
    if len(arguments) == 2 and arguments[0] == "--cpus":
        os.sched_setaffinity(0, {int(cpu) for cpu in arguments[1].split(",")})
    parent = os.getppid()
    from confluent_kafka import KafkaException, Producer

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the lab's to handle; it closes the pipe
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    host: Any = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 4})
    try:
        (broker,) = host.list_topics(timeout=_READY_TIMEOUT_S).brokers.values()
    except KafkaException as exc:
        sys.stderr.write(f"the mock cluster did not answer: {exc}\n")
        return 1
    sys.stdout.write(json.dumps({"bootstrap": f"{broker.host}:{broker.port}"}) + "\n")
    sys.stdout.flush()
    _wait_for_the_end(parent)
    os._exit(0)  # taking the cluster down in order would wait for clients


def _wait_for_the_end(parent: int) -> None:
    """Until standard input ends, or the parent has (a child it forked may hold the pipe open for longer)."""
    while os.getppid() == parent:
        ready, _, _ = select.select([0], [], [], _PARENT_CHECK_S)
        if ready and not os.read(0, 4096):
            return


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:]))
