"""kafka-delivery on a real broker: what can befall a stream, with defects planted and without."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from proofload.judging import judge
from proofload.progress import PlainProgress
from proofload.records import Result, Status
from proofload.runtimes._broker_container import ContainerBroker
from proofload.selftest import Case
from proofload.selftest.real import folder_of, record, seen
from proofload.store.record import RunRecord

pytestmark = [pytest.mark.real, pytest.mark.kafka, pytest.mark.containers, pytest.mark.quiet]
SHORT: Mapping[str, Any] = {
    "rate_rps": 300,
    "duration_s": 1.5,
    "timeout_s": 20,
    "pile_up_s": 1.5,
    "after_s": 0.3,
    "drain_s": 10,
    "recovery_s": 60,
    "lost_share": 0.01,
    "slo.ok_share": 0.9,
    "session_s": 3,
}


def a_case(target: str, fault: str = "", *expect: str, broker: str, **changes: Any) -> Case:
    return Case("kafka-delivery", target, fault, expect, settings={**SHORT, "target.broker": broker, **changes})


def ran(folder: Path, case: Case) -> Result:
    record(folder, case, 0, progress=PlainProgress(io.StringIO()), version="test")
    found = seen(folder, case, 0)
    assert found.status is not None, found.why
    return judge(RunRecord(folder_of(folder, case, 0)))


def test_a_healthy_worker_keeps_every_message_while_the_group_changes_and_the_broker_restarts(
    kafka_image: str, tmp_path: Path
) -> None:
    befalls = ["join", "leave", "broker-restart"]
    result = ran(tmp_path, a_case("kafka", broker=f"container:{kafka_image}", disturbances=befalls))
    assert result.status is Status.PASS, result.checks
    assert (result.details["broker"], result.details["session_s"]) == (kafka_image, 3)
    assert [one["what"] for one in result.details["stretches"]] == ["", *befalls]
    assert "its broker was restarted" in result.headline[0]
    assert result.details["stretches"][-1]["stood_still_s"] > 0.5


def test_with_transactions_nothing_is_answered_twice_either(kafka_broker: ContainerBroker, tmp_path: Path) -> None:
    case = a_case(
        "kafka-exactly-once",
        broker=kafka_broker.bootstrap,
        guarantee="exactly-once",
        disturbances=["kill"],
    )
    result = ran(tmp_path, case)
    assert result.status is Status.PASS, result.checks
    assert result.details["stretches"][-1]["under_way"] > 0
    assert sum(one["duplicated"] for one in result.details["stretches"]) == 0


@pytest.mark.parametrize(
    ("fault", "disturbances", "cause"),
    [
        ("commit-before-work", ["kill", "kill"], "lost-messages"),
        ("redelivery-on-rebalance", ["restart"], "duplicated-messages"),
    ],
)
def test_a_planted_defect_is_found_and_named(
    kafka_broker: ContainerBroker, tmp_path: Path, fault: str, disturbances: list[str], cause: str
) -> None:
    soon = {"timeout_s": 4, "drain_s": 2}  # what is lost is waited for
    case = a_case("kafka", fault, cause, broker=kafka_broker.bootstrap, disturbances=disturbances, **soon)
    result = ran(tmp_path, case)
    assert result.status is Status.FAIL, result.checks
    assert cause in {check.cause for check in result.checks if check.status is Status.FAIL}
