"""A real Kafka broker, one for the whole session, in a container."""

from __future__ import annotations

import os
from collections.abc import Iterator

import docker
import pytest

from proofload.runtimes._broker_container import ContainerBroker, container_broker
from proofload.target_model import KAFKA_IMAGE
from proofload.watchdog import Watchdog


@pytest.fixture(scope="session")
def kafka_image(container_engine: docker.DockerClient) -> str:
    """The image's name. Where it is not there, the test is skipped, or fails if PROOFLOAD_REQUIRE_ALL is set."""
    try:
        container_engine.images.get(KAFKA_IMAGE)
    except docker.errors.ImageNotFound:
        reason = f"not on this engine: {KAFKA_IMAGE} (docker pull {KAFKA_IMAGE}; in CI, .ci/kafka/build makes it)"
        if os.environ.get("PROOFLOAD_REQUIRE_ALL"):
            pytest.fail(f"{reason}, and PROOFLOAD_REQUIRE_ALL is set")
        pytest.skip(reason)
    return KAFKA_IMAGE


@pytest.fixture(scope="session")
def kafka_broker(kafka_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerBroker]:
    with Watchdog() as watchdog, container_broker(kafka_image, tmp_path_factory.mktemp("kafka"), watchdog) as broker:
        yield broker
