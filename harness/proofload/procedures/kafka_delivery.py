"""kafka-delivery: are messages lost, answered twice or out of order when a stream's workers come, go and die?

A worker alone is watched first. Then, one after another and under steady load, what `disturbances` names: it is
stopped and another started ("restart"), killed in the midst of its work and another started ("kill"), a second one
joins its group ("join"), the older one is stopped ("leave"), the broker between them is stopped and started again
("broker-restart").
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from proofload.engine.client import Stretch
from proofload.errors import InputError
from proofload.procedures import Bench, Evidence, Findings
from proofload.procedures._kafka_delivery.judging import judge
from proofload.procedures._kafka_delivery.kill import kill_in_the_midst, replies_of
from proofload.procedures._kafka_delivery.settings import (
    REPEAT,
    SETTLING,
    SHARED,
    STEADY,
    Disturbance,
    Settings,
)
from proofload.procedures._kafka_delivery.stream import Workers, workers_of
from proofload.procedures._kafka_delivery.watch import Watch
from proofload.scenarios import Scenario

STARTS_ITS_TARGETS = True
__all__ = ["STARTS_ITS_TARGETS", "KafkaDelivery", "Settings", "create"]
_BEFORE_S = 0.7
"""Load before workers are interfered with, in each phase."""
_STRAYS_S = 0.6
"""After a phase: so that surplus answers are counted where they belong."""


def create() -> KafkaDelivery:
    return KafkaDelivery()


class KafkaDelivery:
    """See `proofload.procedures.Procedure`."""

    def peak_rps(self, scenario: Scenario) -> float:
        return scenario.rate_rps + 10.0 * math.sqrt(scenario.rate_rps)

    def conduct(self, bench: Bench, scenario: Scenario) -> None:
        assert isinstance(scenario, Settings)
        with workers_of(
            bench,
            keys=scenario.keys,
            env=scenario.env,
            session_s=scenario.session_s,
            patience_s=scenario.recovery_s,
        ) as workers:
            began_s = time.monotonic()
            workers.start()
            _settle(bench, scenario)
            undisturbed = not (scenario.disturbances and workers.startable)
            missing = _steady(bench, scenario, scenario.enough_s if undisturbed else scenario.duration_s)
            workers.broker.check_alive()
            stuck = ""
            for number, (name, what) in enumerate(scenario.plan(), start=2):
                why = stuck or _hindrance(scenario, name, what, workers, began_s)
                if why:
                    bench.note("not-disturbed", what=name, why=why)
                    continue
                with _phase(bench, scenario, name, number) as watch:
                    _ACTS[what](bench, scenario, workers, watch)
                workers.broker.check_alive()
                missing += watch.missing
                stuck = "" if watch.recovered else f"the stream did not come back after {name}"
            bench.pause(scenario.drain_s if missing else _STRAYS_S)  # late answers are late, not lost

    def judge(self, evidence: Evidence, scenario: Scenario) -> Findings:
        assert isinstance(scenario, Settings)
        return judge(evidence, scenario)


def _stretch(scenario: Scenario, name: str, duration_s: float, number: int = 1, *, measured: bool = True) -> Stretch:
    return Stretch(
        name, scenario.rate_rps, duration_s, arrival="poisson", seed=scenario.seed + number, measured=measured
    )


def _settle(bench: Bench, scenario: Settings) -> None:
    """Until the group has given the first worker its share: what was sent before that may rightly stay unread."""
    with bench.loading(_stretch(scenario, SETTLING, scenario.recovery_s, 0, measured=False)) as running:
        watch = Watch(running, scenario.rate_rps)
        watch.until_caught_up(scenario.recovery_s)
        running.cut()
    if not watch.recovered:
        raise InputError(
            f"no message was answered within {scenario.recovery_s:g} s",
            cause="the worker reads another topic or answers into another one, does not copy the correlation header, "
            "or waits for a former member of its group",
            remedy="check request.topic, request.correlation and response.topic, and the worker's log in logs/",
        )
    bench.pause(_STRAYS_S)


def _steady(bench: Bench, scenario: Settings, duration_s: float) -> int:
    """Load on a worker left alone; how many messages had no answer."""
    with bench.loading(_stretch(scenario, STEADY, duration_s)) as running:
        watch = Watch(running, scenario.rate_rps)
    watch.look()
    bench.pause(_STRAYS_S)
    return watch.missing


def _hindrance(scenario: Settings, name: str, what: Disturbance, workers: Workers, began_s: float) -> str:
    """Why this cannot or need not be done; empty: do it."""
    if what == "broker-restart":
        if workers.broker.restart is None:
            return "the lab can restart a broker that it brought in a container only: `--set target.broker=container`"
    elif not workers.startable:
        return "the lab did not start this worker, so it cannot stop it and start another"
    if what in SHARED and workers.embedded:
        return (
            "the embedded broker refuses commits while a group of two is shared out anew, which no real one does; "
            "`--set target.broker=container` brings a real one, HOST:PORT names one"
        )
    if name != what and time.monotonic() - began_s > scenario.repeat_within_s:
        return REPEAT
    return ""


@contextmanager
def _phase(bench: Bench, scenario: Settings, name: str, number: int) -> Iterator[Watch]:
    """Load around what the block does to the workers, until all is well again."""
    longest_s = _BEFORE_S + 3 * scenario.recovery_s + scenario.after_s
    with bench.loading(_stretch(scenario, name, longest_s, number)) as running:
        watch = Watch(running, scenario.rate_rps)
        watch.calm(_BEFORE_S)
        yield watch
        watch.until_caught_up(scenario.recovery_s)
        bench.note("caught-up" if watch.recovered else "not-caught-up", what=name)
        watch.calm(scenario.after_s)
        running.cut()
    watch.look()
    bench.pause(_STRAYS_S)


def _restart(bench: Bench, _scenario: Settings, workers: Workers, _watch: Watch) -> None:
    oldest = workers.arms[0]
    bench.note("disturbance", what="stop", arm=oldest)
    workers.stop(oldest)
    arm = workers.start()
    bench.note("disturbance", what="started", arm=arm)


def _kill(bench: Bench, scenario: Settings, workers: Workers, watch: Watch) -> None:
    oldest = workers.arms[0]
    processes = workers.processes(oldest)
    with replies_of(workers.target_of(oldest)) as replies:
        bench.note("disturbance", what="halt", arm=oldest)
        fell = kill_in_the_midst(processes, replies, watch, pile_up_s=scenario.pile_up_s, rate_rps=scenario.rate_rps)
        bench.note("disturbance", what="kill", arm=oldest, fell=fell)
    workers.buried(oldest)
    arm = workers.start()
    bench.note("disturbance", what="started", arm=arm)


def _join(bench: Bench, _scenario: Settings, workers: Workers, _watch: Watch) -> None:
    bench.note("disturbance", what="join")
    arm = workers.start()
    bench.note("disturbance", what="started", arm=arm)


def _leave(bench: Bench, _scenario: Settings, workers: Workers, _watch: Watch) -> None:
    if len(workers.arms) < 2:
        workers.start()
    oldest = workers.arms[0]
    bench.note("disturbance", what="stop", arm=oldest)
    workers.stop(oldest)


def _broker_restart(bench: Bench, _scenario: Settings, workers: Workers, _watch: Watch) -> None:
    assert workers.broker.restart is not None  # else it was hindered
    bench.note("disturbance", what="broker-stop")
    workers.broker.restart()
    bench.note("disturbance", what="broker-started")


_ACTS: Mapping[Disturbance, Callable[[Bench, Settings, Workers, Watch], None]] = {
    "restart": _restart,
    "kill": _kill,
    "join": _join,
    "leave": _leave,
    "broker-restart": _broker_restart,
}
