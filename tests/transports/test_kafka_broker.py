"""The embedded broker: comes up, keeps what it says, ends with its owner; and whether a backlog fitted into it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from proofload import brokers
from proofload.brokers import RETAINED_BYTES, RETAINED_MESSAGES, could_overrun, embedded_broker, largest_backlog
from proofload.errors import MeasurementError

OWNER = """
import sys, time
from pathlib import Path
from proofload.brokers import embedded_broker
with embedded_broker(Path(sys.argv[1])) as broker:
    print(broker.pid, flush=True)
    time.sleep(600)
"""


def gone(pid: int, *, patience_s: float = 20.0) -> bool:
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.real
@pytest.mark.kafka
def test_the_broker_answers_with_the_partitions_it_is_known_for_and_names_itself(tmp_path: Path) -> None:
    from confluent_kafka import Producer

    core = max(os.sched_getaffinity(0))
    with embedded_broker(tmp_path, (core,)) as broker:
        answer = Producer({"bootstrap.servers": broker.bootstrap}).list_topics("t", timeout=10)
        assert len(answer.topics["t"].partitions) == brokers.PARTITIONS
        assert answer.cluster_id.startswith(brokers.CLUSTER_ID_PREFIX)
        assert broker.kind == "librdkafka mock"
        assert os.sched_getaffinity(broker.pid) == {core}
    assert gone(broker.pid)


@pytest.mark.real
@pytest.mark.kafka
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_the_broker_ends_with_its_owner_however_that_ends(tmp_path: Path, signum: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        owner.send_signal(signum)
    assert gone(pid)


@pytest.mark.real
@pytest.mark.kafka
def test_a_broker_that_does_not_come_up_is_said_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(MeasurementError, match="did not come up") as caught, embedded_broker(tmp_path):
        pass
    assert "broker.log" in str(caught.value)


def test_a_backlog_within_both_limits_is_kept() -> None:
    assert not could_overrun(10_000, 200)
    assert not could_overrun(RETAINED_MESSAGES * 4, 0, partitions=20)


def test_either_limit_alone_overruns() -> None:
    assert could_overrun(RETAINED_MESSAGES + 1, 0)
    assert could_overrun(100, RETAINED_BYTES / 100)


def test_the_worst_case_is_one_partition() -> None:
    assert could_overrun(30_000, 200)
    assert not could_overrun(30_000, 200, partitions=4)


def test_the_largest_backlog_is_what_was_sent_and_not_yet_answered() -> None:
    sent = np.array([10, 20, 30, 40], dtype=np.int64)
    assert largest_backlog(sent, np.array([15, 25, 35, 45], dtype=np.int64)) == 1
    assert largest_backlog(sent, np.array([50, 60, 70, 80], dtype=np.int64)) == 4
    assert largest_backlog(sent, np.array([50, 35, 36, 80], dtype=np.int64)) == 3


def test_what_never_was_answered_stays_in_the_backlog_and_what_never_was_sent_is_not_in_it() -> None:
    sent = np.array([10, 0, 30, 40], dtype=np.int64)
    answered = np.array([0, 5, 35, 45], dtype=np.int64)
    assert largest_backlog(sent, answered) == 2
    assert largest_backlog(np.array([], dtype=np.int64), np.array([], dtype=np.int64)) == 0
