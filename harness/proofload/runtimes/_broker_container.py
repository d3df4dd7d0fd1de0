"""A Kafka broker in a container, brought by the lab: one real node, for verdicts about what becomes of messages.

It keeps everything for as long as it lives, has transactions, and can be restarted; nothing of it stays behind. Where
it differs from an unconfigured one: topics appear when they are asked for, with as many partitions as the embedded
broker gives them; groups form without waiting for more members, and may have sessions of a second; transactions that
timed out are looked for every second, so that a reader waits no longer for one that was left open.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException, Producer
from docker import DockerClient
from docker.errors import NotFound
from docker.models.containers import Container

from proofload import _process_trees as trees
from proofload._container_sweep import LABEL
from proofload.brokers import PARTITIONS
from proofload.errors import MeasurementError, TargetError
from proofload.runtimes._contained import first_process
from proofload.runtimes._container_engine import endpoint, engine, image_of, translated
from proofload.runtimes._container_reaper import outlived
from proofload.runtimes._ports import free_ports
from proofload.watchdog import Watchdog

BROKER_LABEL = "io.proofload.broker"
_INSIDE = 9092
_HEAP = "-Xms128m -Xmx512m"
_READY_S = 90.0
_STOP_S = 20
_LOOK_EVERY_S = 0.5
_ATTEMPTS = 3
_LOG_LINES = 5_000
_TAIL = 6


class ContainerBroker:
    """A broker that is up. Use `container_broker`."""

    def __init__(
        self, container: Container, image: Mapping[str, Any], name: str, port: int, warnings: Sequence[str] = ()
    ) -> None:
        self._container = container
        self._image = image
        self._warnings = list(warnings)
        self._root = first_process(container)
        self._away = False
        self._looked_s = 0.0
        self.kind = name
        """For the report: which broker it was."""
        self.bootstrap = f"127.0.0.1:{port}"

    def facts(self) -> Mapping[str, Any]:
        return {
            "kind": self.kind,
            "bootstrap": self.bootstrap,
            "container": str(self._container.id),
            "image_id": self._image["Id"],
            **({"warnings": self._warnings} if self._warnings else {}),
        }

    def check_alive(self) -> None:
        """Raises MeasurementError, with the end of its log, when it died: that is no finding about the target."""
        if self._away or not self._seems_gone():
            return
        with translated("the Kafka broker's container"):
            state = _state(self._container)
        if not state.get("Running", False):
            killed = " (for memory)" if state.get("OOMKilled") else ""
            raise MeasurementError(
                "the Kafka broker that the lab brought died",
                evidence=f"its container ended with exit code {state.get('ExitCode')}{killed}\n{self._log_end()}",
                cause="something outside proofload stopped or killed it"
                if state.get("ExitCode") in {137, 143}
                else "the end of its log tells",
                remedy="run again, or use a broker of your own: `--set target.broker=HOST:PORT`",
            )

    def restart(self) -> None:
        """SIGTERM, then the same node again on what it stored. Returns when it serves. Raises TargetError."""
        self._away = True
        try:
            with translated("the Kafka broker's container"):
                self._container.restart(timeout=_STOP_S)
                self._container.reload()
            self._root = first_process(self._container)
            self.wait_ready()
        finally:
            self._away = False

    def wait_ready(self) -> None:
        """Until it answers as a member of its own cluster. Raises TargetError."""
        until = time.monotonic() + _READY_S
        asker: Any = Producer({"bootstrap.servers": self.bootstrap, "log_level": 0})
        problem = "no answer"
        while time.monotonic() < until:
            try:
                if asker.list_topics(timeout=1.0).brokers:
                    return
            except KafkaException as exc:
                problem = str(exc.args[0])
            with translated("the Kafka broker's container"):
                running = _state(self._container).get("Running", False)
            if not running:
                problem = "its container ended"
                break
        raise TargetError(
            "the Kafka broker that the lab brought did not come up",
            evidence=f"{self.bootstrap}: {problem}\n{self._log_end()}",
            cause="the image is not one of Kafka's own, or the machine is short of memory or too busy",
            remedy=f"try it by hand: docker run --rm {self.kind}; or use a broker of your own: "
            "`--set target.broker=HOST:PORT`",
        )

    def leave_log(self, folder: Path) -> None:
        """What it wrote last, into broker.log."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "broker.log").write_text(self._log(_LOG_LINES), encoding="utf-8")

    def _seems_gone(self) -> bool:
        if self._root is not None:
            return not trees.alive(self._root)
        now = time.monotonic()
        if now - self._looked_s < _LOOK_EVERY_S:
            return False
        self._looked_s = now
        return True

    def _log(self, lines: int) -> str:
        try:
            with translated("the Kafka broker's log"):
                return bytes(self._container.logs(tail=lines)).decode("utf-8", "replace")
        except TargetError as exc:
            return f"its log cannot be had: {exc}\n"

    def _log_end(self) -> str:
        return f"the end of its log:\n{self._log(_TAIL)}"


@contextmanager
def container_broker(image: str, log_dir: Path, watchdog: Watchdog) -> Iterator[ContainerBroker]:
    """A broker for as long as the block lasts; its log lies in `log_dir` then. However the lab ends, the watchdog
    removes it. Raises InputError without an engine or the image, TargetError when it does not come up."""
    with ExitStack() as stack:
        client = stack.enter_context(engine())
        known = image_of(client, image)
        watchdog.adopt_engine(endpoint())
        warnings = stack.enter_context(outlived(client, watchdog.token))
        container, port = _started(client, image, watchdog.token)
        stack.callback(_remove, container)
        broker = ContainerBroker(container, known, image, port, warnings)
        stack.callback(broker.leave_log, log_dir)
        broker.wait_ready()
        yield broker


def _remove(container: Container) -> None:
    with translated("the Kafka broker's container"), suppress(NotFound):
        container.remove(force=True, v=True)


def _started(client: DockerClient, image: str, token: str) -> tuple[Container, int]:
    """Its container, running, and the port on this host; another port when somebody took the first."""
    for attempt in range(1, _ATTEMPTS + 1):
        (port,) = free_ports(["broker"]).values()
        try:
            with translated(f"the Kafka broker {image} cannot be started"):
                container = client.containers.create(
                    image,
                    detach=True,
                    environment=configuration(port),
                    labels={LABEL: token, BROKER_LABEL: "kafka"},
                    ports={f"{_INSIDE}/tcp": ("127.0.0.1", port)},
                )
                _or_remove(container, container.start)
                container.reload()
        except TargetError as exc:
            if attempt == _ATTEMPTS or "port is already allocated" not in exc.evidence:
                raise
        else:
            return container, port
    raise AssertionError("unreachable: the last attempt returns or raises")


def configuration(port: int) -> dict[str, str]:
    """The environment of one node that clients reach as 127.0.0.1:`port`, and that reaches itself inside.

    Names and meaning are the official image's: KAFKA_A_B is the broker's property a.b.
    """
    internal, controller = "localhost:19092", "localhost:9093"
    return {
        "KAFKA_HEAP_OPTS": _HEAP,
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": f"1@{controller}",
        "KAFKA_LISTENERS": f"PLAINTEXT://0.0.0.0:{_INSIDE},INTERNAL://{internal},CONTROLLER://{controller}",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port},INTERNAL://{internal}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "INTERNAL",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_NUM_PARTITIONS": str(PARTITIONS),
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS": "1",
        "KAFKA_TRANSACTION_ABORT_TIMED_OUT_TRANSACTION_CLEANUP_INTERVAL_MS": "1000",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
    }


def _or_remove(container: Container, start: Callable[[], None]) -> None:
    try:
        start()
    except BaseException:
        container.remove(force=True, v=True)
        raise


def _state(container: Container) -> Mapping[str, Any]:
    try:
        container.reload()
    except NotFound:
        return {"Running": False, "ExitCode": 137, "Removed": True}
    state: Mapping[str, Any] = container.attrs["State"]
    return state
