"""kafka-delivery judged from run folders: what it concludes, and when it must not conclude anything."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from proofload.brokers import KIND
from proofload.engine.client import Stretch
from proofload.errors import InputError
from proofload.judging import judge
from proofload.procedures import kafka_delivery
from proofload.procedures._kafka_delivery.settings import Disturbance, Settings
from proofload.procedures.kafka_delivery import KafkaDelivery
from proofload.records import Check, Result, Status
from proofload.runtimes._broker import Broker
from proofload.store.record import RunRecord
from proofload.testing.simulated_bench import SimulatedBench, simulated_run

RATE = 400.0
Took = Callable[[NDArray[np.int64], np.random.Generator], NDArray[np.int64]]


def settings(**changes: Any) -> Settings:
    return Settings.model_validate(
        {
            "name": "kafka-delivery",
            "procedure": "kafka-delivery",
            "rate_rps": RATE,
            "duration_s": 5.0,
            "timeout_s": 5.0,
            "disturbances": ["restart"],
            "slo": {"ok_share": 0.99},
            **changes,
        }
    )


def prompt(due_ns: NDArray[np.int64], _rng: np.random.Generator) -> NDArray[np.int64]:
    return np.full(len(due_ns), 2_000_000, dtype=np.int64)


def losing(*rows: int) -> Took:
    def took(due_ns: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        each = prompt(due_ns, rng)
        each[list(rows)] = 10**12
        return each

    return took


def a_run(
    path: Path,
    took: Took = prompt,
    *,
    scenario: Settings | None = None,
    broker: str = "external",
    restart: bool = True,
    also: Callable[[SimulatedBench], None] = lambda _bench: None,
) -> Result:
    chosen = scenario or settings()
    with simulated_run(path, chosen, took) as bench:
        bench.note("stream", keys=8, broker=broker)
        bench.load(Stretch("settling", RATE, 1.0, measured=False))
        bench.load(Stretch("steady", RATE, 5.0, seed=1))
        if restart:
            bench.note("disturbance", what="stop", arm=0)
            bench.load(Stretch("restart", RATE, 5.0, seed=2))
            bench.note("caught-up", what="restart")
        also(bench)
    return judge(RunRecord(path))


def named(result: Result, name: str) -> Check:
    return next(check for check in result.checks if check.name == name)


def test_a_stream_that_keeps_everything_passes_and_says_so(tmp_path: Path) -> None:
    result = a_run(tmp_path)
    assert result.status is Status.PASS
    assert "lost none of" in result.headline[0]
    assert [phase.delivery for phase in result.phases] == [{"lost": 0, "duplicated": 0, "reordered": 0}] * 2
    assert [stretch["name"] for stretch in result.details["stretches"]] == ["steady", "restart"]


def test_a_lost_message_fails_and_is_named(tmp_path: Path) -> None:
    result = a_run(tmp_path, losing(100))
    assert result.status is Status.FAIL
    assert named(result, "lost").cause == "lost-messages"
    assert "loses messages" in result.headline[0]
    assert result.details["lost_examples"]


def test_a_message_that_nothing_overtook_is_not_called_lost(tmp_path: Path) -> None:
    result = a_run(tmp_path, losing(*range(-1, -9, -1)), restart=False, scenario=settings(disturbances=[]))
    assert result.status is Status.INCONCLUSIVE
    assert result.details["stretches"][0]["waiting"] > 0


def test_surplus_answers_in_quiet_fail_at_least_once(tmp_path: Path) -> None:
    def also(bench: SimulatedBench) -> None:
        bench.note("delivery", worker=0, counts={"duplicated": 60}, rows={"duplicated": [[500, 559]]})

    result = a_run(tmp_path, restart=False, scenario=settings(disturbances=[]), also=also)
    assert named(result, "duplicated").cause == "duplicated-messages"
    assert result.phases[-1].delivery == {"lost": 0, "duplicated": 60, "reordered": 0}


def test_nothing_is_said_of_handovers_where_none_was_asked_for(tmp_path: Path) -> None:
    result = a_run(tmp_path, restart=False, scenario=settings(disturbances=[]))
    assert {"lost", "duplicated"} <= {check.name for check in result.checks}
    assert "handovers" not in {check.name for check in result.checks}


def test_order_is_not_judged_where_none_is_owed(tmp_path: Path) -> None:
    def also(bench: SimulatedBench) -> None:
        bench.note("delivery", worker=0, counts={"reordered": 1}, rows={"reordered": [[500, 500]]})

    owed = a_run(tmp_path / "owed", also=also)
    assert named(owed, "reordered").status is Status.FAIL
    free = a_run(tmp_path / "free", also=also, scenario=settings(order="none"))
    assert "reordered" not in {check.name for check in free.checks}


def test_what_was_not_done_to_the_workers_is_not_passed(tmp_path: Path) -> None:
    def also(bench: SimulatedBench) -> None:
        bench.note("not-disturbed", what="restart", why="the lab did not start this worker")

    result = a_run(tmp_path, restart=False, also=also)
    check = named(result, "handovers")
    assert check.status is Status.INCONCLUSIVE
    assert "the lab did not start this worker" in check.evidence
    assert result.status is not Status.PASS


def test_a_worker_that_died_unbidden_has_failed(tmp_path: Path) -> None:
    def also(bench: SimulatedBench) -> None:
        bench.note("server-died", arm=1, what="target worker died during the run", evidence="Segmentation fault")

    result = a_run(tmp_path, also=also)
    assert result.status is Status.FAIL
    assert "Segmentation fault" in named(result, "target-stays-up").evidence


def test_a_run_cut_short_never_passes(tmp_path: Path) -> None:
    def also(_bench: SimulatedBench) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        a_run(tmp_path, also=also)
    assert judge(RunRecord(tmp_path)).status is Status.INVALID


def test_a_run_without_a_phase_shows_nothing(tmp_path: Path) -> None:
    with simulated_run(tmp_path, settings(), prompt):
        pass
    assert judge(RunRecord(tmp_path)).status is Status.INVALID


def test_an_embedded_broker_that_may_have_forgotten_makes_the_run_invalid(tmp_path: Path) -> None:
    def stuck(due_ns: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        return prompt(due_ns, rng) + np.int64(10**12)

    fast = settings(rate_rps=20_000.0, disturbances=[])
    with simulated_run(tmp_path, fast, stuck) as bench:
        bench.note("stream", keys=8, broker=KIND)
        bench.load(Stretch("steady", 20_000.0, 5.0))
    result = judge(RunRecord(tmp_path))
    assert {item.code for item in result.validity if not item.ok} == {"broker-backlog"}
    assert result.status is Status.INVALID


def test_a_late_client_does_not_spoil_counts_but_limits_on_latency(tmp_path: Path) -> None:
    for name, slo, spoilt in (("counts", {"ok_share": 0.9}, False), ("limits", {"p50_ms": 900.0}, True)):
        chosen = settings(disturbances=[], slo=slo)
        with simulated_run(tmp_path / name, chosen, prompt, lag_ns=30_000_000) as bench:
            bench.note("stream", keys=8, broker="external")
            bench.load(Stretch("steady", RATE, 5.0))
        found = judge(RunRecord(tmp_path / name))
        assert (not all(item.ok for item in found.validity)) is spoilt, name


def test_a_target_that_is_no_stream_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="cannot be run with no target"),
        simulated_run(tmp_path, settings(), prompt) as bench,
    ):
        KafkaDelivery().conduct(bench, settings())


def test_a_broker_that_was_restarted_is_told_of_beside_the_worker(tmp_path: Path) -> None:
    def also(bench: SimulatedBench) -> None:
        bench.note("disturbance", what="broker-stop")
        bench.load(Stretch("broker-restart", RATE, 2.0, seed=3))
        bench.note("caught-up", what="broker-restart")

    result = a_run(tmp_path, scenario=settings(disturbances=["restart", "broker-restart"]), also=also)
    assert result.status is Status.PASS
    assert "while its worker was stopped and started anew and its broker was restarted" in result.headline[0]


@dataclass
class Found:
    """Workers as `_hindrance` sees them."""

    startable: bool = True
    embedded: bool = False
    broker: Broker = field(default_factory=Broker)


@pytest.mark.parametrize(
    ("what", "workers", "why"),
    [
        ("broker-restart", Found(), "target.broker=container"),
        ("broker-restart", Found(broker=Broker(restart=lambda: None)), ""),
        ("broker-restart", Found(startable=False, broker=Broker(restart=lambda: None)), ""),
        ("kill", Found(startable=False), "did not start this worker"),
        ("join", Found(embedded=True), "target.broker=container"),
        ("join", Found(), ""),
    ],
)
def test_what_cannot_be_done_is_not_tried_and_its_reason_names_what_would_help(
    what: Disturbance, workers: Found, why: str
) -> None:
    found = kafka_delivery._hindrance(settings(), what, what, workers, time.monotonic())  # type: ignore[arg-type]
    assert why in found
    assert bool(found) is bool(why)


def test_a_disturbance_that_comes_again_has_a_phase_of_its_own() -> None:
    plan = settings(disturbances=["restart", "kill", "kill", "join"]).plan()
    assert plan == [("restart", "restart"), ("kill", "kill"), ("kill 2", "kill"), ("join", "join")]


@pytest.mark.parametrize(
    ("fell", "status"),
    [
        (("in the midst",), Status.PASS),
        (("too late", "in the midst"), Status.PASS),
        (("too late", "too late"), Status.INCONCLUSIVE),
        (("missed",), Status.INCONCLUSIVE),
    ],
)
def test_kills_that_all_fell_upon_an_idle_worker_show_nothing(
    tmp_path: Path, fell: tuple[str, ...], status: Status
) -> None:
    plan = ["kill"] * len(fell)
    chosen = settings(disturbances=plan)

    def also(bench: SimulatedBench) -> None:
        for number, (one, (name, _)) in enumerate(zip(fell, chosen.plan(), strict=True)):
            bench.note("disturbance", what="kill", arm=number, fell=one)
            bench.load(Stretch(name, RATE, 5.0, seed=2 + number))
            bench.note("caught-up", what=name)

    check = named(a_run(tmp_path, restart=False, scenario=chosen, also=also), "handovers")
    assert check.status is status, check.evidence
    assert (status is Status.PASS) == (check.settle == "")
