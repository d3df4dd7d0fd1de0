"""The workers of a stream and the broker between them and the client: started, stopped, killed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from proofload import _process_trees as trees
from proofload import brokers
from proofload.errors import InputError
from proofload.procedures import Bench
from proofload.procedures._kafka_delivery.session import SESSION, session_told
from proofload.runtimes import Placement, Server
from proofload.runtimes._broker import Broker, broker_for
from proofload.target_model import Target

RUN = "{run}"
"""In values of `env`: a word of its own for each run."""


class Workers:
    """The instances of one target in one consumer group, by arm. Use `workers_of`.

    The client sends and listens through the first one's arm throughout: the topics are the same for all.
    """

    def __init__(
        self, bench: Bench, target: Target, env: Mapping[str, str], *, patience_s: float, broker: Broker, kind: str
    ) -> None:
        run = f"proofload-{secrets.token_hex(4)}"
        self._bench = bench
        self._env = {name: value.replace(RUN, run) for name, value in env.items()}
        self._target = _patient(target, patience_s)
        self._up: dict[int, Server] = {}
        self._starts = 0
        self.startable = False
        """Whether the lab can stop these workers and start others."""
        self.broker = broker
        self.embedded = kind == brokers.KIND
        """Whether the broker is librdkafka's mock, which has ways of its own (see proofload.brokers)."""

    @property
    def arms(self) -> Sequence[int]:
        """Those that are up, the oldest first."""
        return list(self._up)

    def start(self) -> int:
        """One more; its arm. Raises TargetError."""
        arm = self._free() if self._starts else 0
        server = self._bench.start(self._target, arm=arm, essential=False, env=self._env)
        self._starts += 1
        self._up[arm] = server
        self.startable = server.facts().get("runtime") != "external" and bool(server.pids)
        return arm

    def _free(self) -> int:
        """An arm that carries no load: what is opened anew there disturbs nothing."""
        return next(arm for arm in range(1, len(self._up) + 2) if arm not in self._up)

    def stop(self, arm: int) -> None:
        """By SIGTERM, which lets it finish what it has."""
        del self._up[arm]
        self._bench.stop(arm)

    def stop_all(self) -> None:
        for arm in list(self._up):
            self.stop(arm)

    def processes(self, arm: int) -> Sequence[trees.Root]:
        """All processes of this worker."""
        there = trees.snapshot()
        found = trees.descendants(self._up[arm].pids, there)
        return [trees.Root(pid, there[pid].start_ticks) for pid in sorted(found)]

    def target_of(self, arm: int) -> Target:
        """As it was started: every placeholder filled in."""
        return self._up[arm].target

    def buried(self, arm: int) -> None:
        """This worker was killed: its arm is free."""
        self.stop(arm)


def send(processes: Sequence[trees.Root], signum: int) -> bool:
    """A signal to all of them; False where one cannot be reached."""
    reached = [trees.send(one, signum) for one in processes]  # to each, whatever became of the others
    return bool(reached) and all(reached)


@contextmanager
def workers_of(
    bench: Bench, *, keys: int, env: Mapping[str, str], session_s: float, patience_s: float
) -> Iterator[Workers]:
    """No worker yet; on leaving, none is left, then the broker goes, if it is the lab's.

    All workers share one broker: the target's own, or one that the lab brings. Their session is `session_s`, or the
    least that it takes. Notes an event "stream". Raises InputError for a target that is no stream.
    """
    target = bench.target
    if target is None or target.transport != "kafka":
        name = "no target" if target is None else f"{target.name}, which speaks {target.transport}"
        raise InputError(
            f"kafka-delivery cannot be run with {name}",
            cause="it counts the messages of a stream",
            remedy='name a target with transport = "kafka": `--target kafka`, or a file of your own',
        )
    with broker_for(target, Placement(bench.scratch("broker")), bench.watchdog) as broker:
        address = broker.values.get("broker", target.broker)
        reached = address or target.url.partition("://")[2]
        kind = _kind(broker, reached)
        told_s = None
        if target.start is not None or target.container is not None:  # who is started elsewhere is told nothing
            told_s = session_told(env, session_s, reached, embedded=kind == brokers.KIND)
        bench.note("stream", keys=keys, broker=kind, facts=dict(broker.facts), session_s=told_s)
        env = env if told_s is None else {name: value.replace(SESSION, f"{told_s:g}") for name, value in env.items()}
        request = target.request.model_copy(update={"keys": keys})
        asked = target.model_copy(update={"request": request, "broker": address})
        workers = Workers(bench, asked, env, patience_s=patience_s, broker=broker, kind=kind)
        try:
            yield workers
        finally:
            workers.stop_all()


def _kind(broker: Broker, address: str) -> str:
    """What it is, for the report and for what is asked of it. One that was given may be a mock, too."""
    kind = str(broker.facts.get("kind", "external"))
    return brokers.KIND if kind == "external" and brokers.is_embedded(address) else kind


def _patient(target: Target, patience_s: float) -> Target:
    """A worker that is ready only once its group gives it work may wait for as long as the group does."""
    changes: dict[str, Any] = {}
    for table in ("start", "container"):
        started = getattr(target, table)
        if started is not None:
            longer = {"ready_timeout_s": max(started.ready_timeout_s, patience_s)}
            changes[table] = started.model_copy(update=longer)
    return target.model_copy(update=changes)
