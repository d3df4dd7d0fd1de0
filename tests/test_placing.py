"""Who runs on which core, and who gives way."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from proofload.placing import Cores, give_way, kept_off


def test_the_engine_gets_the_lowest_cores_and_the_target_the_rest() -> None:
    cores = Cores.divide([3, 0, 1, 2], workers=2, target_cpus=None)
    assert (list(cores.engine), list(cores.target), list(cores.shared)) == ([0, 1], [2, 3], [])


def test_a_target_limited_to_one_cpu_gets_the_highest_core() -> None:
    assert list(Cores.divide(range(4), workers=1, target_cpus=0.5).target) == [3]


def test_on_one_core_all_share_it_and_that_is_known() -> None:
    assert list(Cores.divide([5], workers=2, target_cpus=2).shared) == [5]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs a second core")
def test_the_lab_keeps_off_the_engines_core_for_the_time_of_the_block() -> None:
    before = os.sched_getaffinity(0)
    with kept_off([min(before)]):
        assert os.sched_getaffinity(0) == before - {min(before)}
    assert os.sched_getaffinity(0) == before


@pytest.mark.skipif(sys.platform != "linux", reason="only there has a thread a priority of its own")
def test_a_thread_that_gives_way_leaves_the_rest_of_its_process_as_it_was() -> None:
    seen: list[int] = []

    def stand_back() -> None:
        give_way()
        seen.append(os.getpriority(os.PRIO_PROCESS, 0))

    before = os.getpriority(os.PRIO_PROCESS, 0)
    thread = threading.Thread(target=stand_back)
    thread.start()
    thread.join()
    assert seen[0] > before or before >= 10
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
