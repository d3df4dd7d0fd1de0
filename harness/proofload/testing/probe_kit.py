"""What every probe must do. For the authors of one: run each claim against yours.

    @pytest.mark.parametrize("claim", CLAIMS, ids=claim_name)
    def test_it_conforms(claim):
        with ProbeCase.standing(my_probe.create) as case:
            claim(case)

A claim raises AssertionError when it does not hold. The subject is a small server that has a process and a
metrics URL; a probe of something else says what it reads through `subject`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from proofload.clock import MonotonicClock
from proofload.errors import TargetError
from proofload.probes import Probe, Subject
from proofload.records import Reading
from proofload.testing.runtime_kit import running_stub

ARM = 1
_GONE_PID = 2**22 + 1  # above the largest pid Linux gives


@dataclass(frozen=True, slots=True)
class ProbeCase:
    """A probe module's `create`, something that can be read, and something that is gone."""

    create: Callable[[Subject], Probe | None]
    subject: Subject
    gone: Subject

    @staticmethod
    @contextmanager
    def standing(create: Callable[[Subject], Probe | None], subject: Subject | None = None) -> Iterator[ProbeCase]:
        """With the small server up."""
        with running_stub() as (port, pid):
            usual = Subject(
                ARM,
                pids=(pid,),
                metrics_url=f"http://127.0.0.1:{port}/metrics",
                live_url=f"http://127.0.0.1:{port}/metrics",
            )
            gone = Subject(
                ARM,
                pids=(_GONE_PID,),
                metrics_url="http://127.0.0.1:9/metrics",
                live_url="http://127.0.0.1:9/live",
                container_id="0" * 64,
            )
            yield ProbeCase(create, subject or usual, gone)

    @contextmanager
    def probe(self) -> Iterator[Probe | None]:
        """None: it does not apply to this subject, and then claims nothing."""
        probe = self.create(self.subject)
        try:
            yield probe
        finally:
            if probe is not None:
                probe.close()


def it_does_not_apply_where_there_is_nothing_to_read(case: ProbeCase) -> None:
    assert case.create(Subject(ARM)) is None


def its_interval_is_positive(case: ProbeCase) -> None:
    with case.probe() as probe:
        assert probe is None or probe.interval_s > 0


def it_reads_finite_values_of_now(case: ProbeCase) -> None:
    with case.probe() as probe:
        if probe is None:
            return
        for _ in range(2):
            before = MonotonicClock().now_ns()
            readings = list(probe.read())
            assert readings, "it read nothing"
            assert all(math.isfinite(reading.value) for reading in readings)
            assert all(before <= reading.t_ns <= MonotonicClock().now_ns() for reading in readings)


def it_says_what_each_value_is(case: ProbeCase) -> None:
    with case.probe() as probe:
        readings: Sequence[Reading] = [] if probe is None else list(probe.read())
        assert all(reading.source and reading.name for reading in readings)
        assert all(reading.arm == ARM for reading in readings)
        names = [(reading.source, reading.name) for reading in readings]
        assert len(names) == len(set(names)), "one name twice in one reading"


def a_subject_that_is_gone_is_an_error_and_never_a_value(case: ProbeCase) -> None:
    with suppress(OSError, TargetError):
        probe = case.create(case.gone)
        if probe is None:
            return
        try:
            readings = list(probe.read())
        finally:
            probe.close()
        raise AssertionError(f"it read {readings} of nothing")


def a_reading_is_cheap(case: ProbeCase) -> None:
    """Less than a tenth of its interval of this process's CPU, in the median of nine: by ratio, not by the clock."""
    with case.probe() as probe:
        if probe is None:
            return
        costs = []
        for _ in range(9):
            began = time.thread_time()
            list(probe.read())
            costs.append(time.thread_time() - began)
        assert sorted(costs)[4] < probe.interval_s / 10


def closing_twice_is_fine(case: ProbeCase) -> None:
    with case.probe() as probe:
        if probe is not None:
            probe.close()


CLAIMS: tuple[Callable[[ProbeCase], None], ...] = (
    it_does_not_apply_where_there_is_nothing_to_read,
    its_interval_is_positive,
    it_reads_finite_values_of_now,
    it_says_what_each_value_is,
    a_subject_that_is_gone_is_an_error_and_never_a_value,
    a_reading_is_cheap,
    closing_twice_is_fine,
)


def claim_name(claim: Callable[[ProbeCase], None]) -> str:
    return claim.__name__
