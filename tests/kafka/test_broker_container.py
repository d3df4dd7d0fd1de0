"""The broker that the lab brings: what it is, that it comes back with all it had, and that nothing of it stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from proofload.brokers import PARTITIONS, is_embedded
from proofload.errors import InputError, MeasurementError
from proofload.procedures._kafka_delivery.session import least_session_s
from proofload.records import Outcome
from proofload.runtimes import Placement
from proofload.runtimes._broker import broker_for
from proofload.runtimes._broker_container import ContainerBroker, configuration, container_broker
from proofload.runtimes.external import ExternalRuntime
from proofload.store.segments import read_samples
from proofload.target_model import KAFKA_IMAGE, Target
from proofload.watchdog import Watchdog

WAIT_S = 60.0
CONTAINERS = [pytest.mark.real, pytest.mark.kafka, pytest.mark.containers, pytest.mark.timeout(300)]
OWNER = """
import sys, time
from pathlib import Path
from proofload.runtimes._broker_container import container_broker
from proofload.watchdog import Watchdog
with Watchdog() as watchdog, container_broker(sys.argv[1], Path(sys.argv[2]), watchdog) as broker:
    print(broker.facts()["container"], flush=True)
    time.sleep(600)
"""


def a_target(broker: str | None) -> Target:
    return Target(name="stream", transport="kafka", url="kafka://{broker}", broker=broker)


@pytest.mark.parametrize(
    ("broker", "image"),
    [
        ("container", KAFKA_IMAGE),
        ("container:apache/kafka:4.2.0", "apache/kafka:4.2.0"),
        ("127.0.0.1:9092", None),
        ("container:9092", None),  # a host of that name
        (None, None),
    ],
)
def test_a_broker_is_an_address_or_an_image_that_the_lab_is_to_bring(broker: str | None, image: str | None) -> None:
    assert a_target(broker).broker_image == image


def test_a_brought_brokers_address_is_known_only_once_it_is_there() -> None:
    assert a_target("container").filled({}).url == "kafka://{broker}"
    assert a_target("container").filled({"broker": "127.0.0.1:1"}).url == "kafka://127.0.0.1:1"
    assert a_target("h:1").filled({}).url == "kafka://h:1"


def test_a_target_that_runs_already_cannot_be_given_another_broker(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not the one that it uses"):
        ExternalRuntime().start(a_target("container"), Placement(tmp_path)).__enter__()


def test_clients_reach_it_from_outside_and_it_reaches_itself_inside() -> None:
    env = configuration(12345)
    advertised = dict(one.split("://") for one in env["KAFKA_ADVERTISED_LISTENERS"].split(","))
    assert advertised["PLAINTEXT"] == "127.0.0.1:12345"
    assert advertised[env["KAFKA_INTER_BROKER_LISTENER_NAME"]] in env["KAFKA_LISTENERS"]


def test_the_tag_is_the_one_that_ci_builds_and_compose_names(checkout: Path) -> None:
    version = KAFKA_IMAGE.partition(":")[2]
    assert f"${{1:-{version}}}" in (checkout / ".ci" / "kafka" / "build").read_text(encoding="utf-8")
    compose = checkout / "docker-compose.yml"
    if compose.exists():
        assert f"image: {KAFKA_IMAGE}\n" in compose.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def until() -> Callable[[Callable[[], bool]], None]:
    def wait(condition: Callable[[], bool]) -> None:
        give_up = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < give_up
            time.sleep(0.05)

    return wait


class TestForReal:
    pytestmark = CONTAINERS

    def test_it_is_a_real_one_with_as_many_partitions_as_the_embedded(
        self, kafka_broker: ContainerBroker, until: Callable[..., None]
    ) -> None:
        asker, topic = Producer({"bootstrap.servers": kafka_broker.bootstrap}), a_topic()
        until(lambda: len(asker.list_topics(topic, timeout=WAIT_S).topics[topic].partitions) == PARTITIONS)
        assert not is_embedded(kafka_broker.bootstrap)
        assert kafka_broker.facts()["kind"] == KAFKA_IMAGE
        assert least_session_s(kafka_broker.bootstrap) == 1.0

    def test_the_image_runs_without_rights_and_takes_its_configuration_from_the_environment(
        self, kafka_broker: ContainerBroker, container_engine: docker.DockerClient
    ) -> None:
        container = container_engine.containers.get(kafka_broker.facts()["container"])
        assert container.exec_run(["id", "-u"]).output.strip() != b"0"
        written = container.exec_run(["cat", "/opt/kafka/config/server.properties"]).output.decode()
        assert f"num.partitions={PARTITIONS}" in written.splitlines()
        assert "group.initial.rebalance.delay.ms=0" in written.splitlines()
        listed = container.exec_run(
            ["/opt/kafka/bin/kafka-topics.sh", "--bootstrap-server", "localhost:19092", "--list"]
        )
        assert listed.exit_code == 0, listed.output

    def test_the_image_needs_no_configuration_and_ends_by_sigterm_when_told(
        self, kafka_image: str, container_engine: docker.DockerClient, until: Callable[..., None]
    ) -> None:
        container = container_engine.containers.run(
            kafka_image, detach=True, environment={"KAFKA_HEAP_OPTS": "-Xmx256m"}
        )
        try:
            until(lambda: b"Kafka Server started" in container.logs())
            container.stop(timeout=60)
            assert container.wait()["StatusCode"] in {0, 143}  # 137 would be a kill
        finally:
            container.remove(force=True, v=True)

    def test_after_a_restart_it_has_what_it_had_and_a_later_death_is_said(
        self, kafka_image: str, container_engine: docker.DockerClient, tmp_path: Path
    ) -> None:
        topic = a_topic()
        with Watchdog() as watchdog:
            with container_broker(kafka_image, tmp_path, watchdog) as broker:
                sent(broker.bootstrap, topic, b"kept")
                broker.restart()
                broker.check_alive()
                assert first_of(broker.bootstrap, topic) == b"kept"
                container_engine.containers.get(broker.facts()["container"]).kill()
                with pytest.raises(MeasurementError, match="broker that the lab brought died") as caught:
                    watched(broker)
                assert "exit code 137" in str(caught.value)
        assert "Kafka Server started" in (tmp_path / "broker.log").read_text(encoding="utf-8")
        assert not there(container_engine, broker.facts()["container"])

    def test_a_target_that_asks_for_it_gets_it_and_a_way_to_restart_it(self, kafka_image: str, tmp_path: Path) -> None:
        with Watchdog() as watchdog:
            with broker_for(a_target("container"), Placement(tmp_path), watchdog) as broker:
                assert broker.facts["kind"] == kafka_image
                assert broker.restart is not None
                with broker_for(a_target(broker.values["broker"]), Placement(tmp_path), watchdog) as given:
                    assert (given.facts["kind"], given.restart) == ("external", None)

    def test_a_lab_that_is_killed_leaves_no_broker_behind(
        self, kafka_image: str, container_engine: docker.DockerClient, tmp_path: Path, until: Callable[..., None]
    ) -> None:
        with subprocess.Popen(
            [sys.executable, "-c", OWNER, kafka_image, str(tmp_path)], stdout=subprocess.PIPE
        ) as owner:
            assert owner.stdout is not None
            container = owner.stdout.readline().decode().strip()
            assert there(container_engine, container)
            os.kill(owner.pid, signal.SIGKILL)
        until(lambda: not there(container_engine, container))

    def test_when_it_dies_in_mid_run_nothing_is_said_about_the_target_and_every_message_is_accounted_for(
        self, kafka_image: str, container_engine: docker.DockerClient, tmp_path: Path, until: Callable[..., None]
    ) -> None:
        words = ["rate_rps=50", "duration_s=30", "warmup_s=0", "timeout_s=1", f"target.broker=container:{kafka_image}"]
        command = ["run", "load", "--target", "kafka", "--out", str(tmp_path / "run"), "--json", "-"]
        command += [word for setting in words for word in ("--set", setting)]
        with subprocess.Popen(
            [sys.executable, "-m", "proofload", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as lab:
            events = tmp_path / "run" / "events.jsonl"
            until(lambda: events.exists() and '"phase"' in events.read_text(encoding="utf-8"))
            (told,) = [
                one for one in map(json.loads, events.read_text(encoding="utf-8").splitlines()) if of_server(one)
            ]
            until(lambda: bool((read_samples(tmp_path / "run" / "samples")["outcome"] == Outcome.OK).any()))
            container_engine.containers.get(told["detail"]["facts"]["broker"]["container"]).kill()
            out, err = lab.communicate(timeout=WAIT_S)
        assert lab.returncode == 3, err
        assert "the Kafka broker that the lab brought died" in err
        result = json.loads(out)
        (phase,) = result["phases"]
        assert (result["status"], sum(phase["outcomes"].values())) == ("invalid", phase["planned"])
        assert phase["outcomes"]["ok"] > 0
        assert not there(container_engine, told["detail"]["facts"]["broker"]["container"])

    def test_an_image_that_is_not_here_is_said_with_what_to_type(
        self, container_engine: docker.DockerClient, tmp_path: Path
    ) -> None:
        with Watchdog() as watchdog, pytest.raises(InputError, match="not here") as caught:
            with container_broker("apache/kafka:0.0.0-none", tmp_path, watchdog):
                pass
        assert "docker pull" in str(caught.value)


def of_server(event: dict[str, Any]) -> bool:
    return bool(event["kind"] == "server" and event["detail"]["what"] == "started")


def watched(broker: ContainerBroker) -> None:
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        broker.check_alive()
        time.sleep(0.05)


def a_topic() -> str:
    return f"t-{uuid.uuid4().hex[:8]}"


def there(engine: docker.DockerClient, container: str) -> bool:
    return any(one.id == container for one in engine.containers.list(all=True, ignore_removed=True))


def sent(bootstrap: str, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(topic, value, partition=0)
    assert producer.flush(WAIT_S) == 0


def first_of(bootstrap: str, topic: str) -> bytes:
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": "t", "log_level": 0})
    try:
        reader.assign([TopicPartition(topic, 0, 0)])
        message = reader.poll(WAIT_S)
        assert message is not None
        assert message.error() is None
        return bytes(message.value() or b"")
    finally:
        reader.close()
