"""The Kafka broker that a started target uses: none, the user's, or one that the lab brings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from proofload import _process_trees as trees
from proofload.errors import InputError, MeasurementError, TargetError
from proofload.runtimes import Placement
from proofload.runtimes._readiness import Address
from proofload.target_model import Target
from proofload.watchdog import Watchdog


@dataclass(frozen=True, slots=True)
class Broker:
    """What a target gets of its broker; by default there is none."""

    values: Mapping[str, str] = field(default_factory=dict)
    """The placeholder {broker}."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    check_alive: Callable[[], None] = field(default=lambda: None)
    """Raises MeasurementError when a broker of ours is gone: that is no finding about the target."""
    restart: Callable[[], None] | None = None
    """Stops it and starts it again on what it stored; None where that is not the lab's to do."""


def refuse_bringing(target: Target) -> None:
    """Raises InputError where a broker in a container is asked for, and nothing is started that could use it."""
    if target.broker_image is not None:
        raise InputError(
            f"target {target.name} runs already, so a broker brought now is not the one that it uses",
            evidence=f"target.broker = {target.broker!r}",
            remedy="give the address of its broker: `--set target.broker=HOST:PORT`",
        )


@contextmanager
def broker_for(target: Target, placement: Placement, watchdog: Watchdog) -> Iterator[Broker]:
    """The embedded broker is started when {broker} is used and the target names none; a real one, in a container,
    when it asks for that."""
    if target.broker_image is not None:
        from proofload.runtimes._broker_container import container_broker

        with container_broker(target.broker_image, placement.log_dir, watchdog) as brought:
            yield Broker({"broker": brought.bootstrap}, brought.facts(), brought.check_alive, brought.restart)
    elif target.broker is not None:
        _refuse_unreachable(target, target.broker)
        yield Broker({"broker": target.broker}, {"kind": "external", "bootstrap": target.broker})
    elif not target.uses("broker"):
        yield Broker()
    else:
        from proofload.brokers import embedded_broker

        with embedded_broker(placement.log_dir, ()) as embedded:
            watchdog.adopt(embedded.pid)
            who = trees.root(embedded.pid)

            def check_alive() -> None:
                if who is None or not trees.alive(who):
                    raise MeasurementError(
                        "the embedded Kafka broker died",
                        evidence=f"process {embedded.pid} is gone; its log is in {placement.log_dir}",
                        remedy="run again, or use another: `--set target.broker=container`, or HOST:PORT of your own",
                    )

            try:
                facts = {"kind": embedded.kind, "bootstrap": embedded.bootstrap}
                yield Broker({"broker": embedded.bootstrap}, facts, check_alive)
            finally:
                watchdog.release(embedded.pid)


def _refuse_unreachable(target: Target, broker: str) -> None:
    refusal = Address.of(f"kafka://{broker}").accepts()
    if refusal:
        raise TargetError(
            f"the broker {broker} of target {target.name} cannot be reached",
            evidence=refusal,
            remedy="start it, correct target.broker, or leave that out: proofload then brings its own",
        )
