"""Container readings from texts and answers as kernels and engines give them, and from lives that end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proofload.clock import NS_PER_S
from proofload.errors import TargetError
from proofload.probes import Subject, container
from proofload.probes import _container_engine as engine_answers
from proofload.probes._container_engine import ContainerEngine, State
from proofload.probes._container_group import UNIFIED, find, folders, traffic, usage_of
from proofload.probes._container_usage import Rates, Usage
from proofload.probes.container import ContainerProbe

MIB = 1 << 20
ID = "1abf12e815617da5e29be6e575457f3fe8541f9f82c398d9426215131671b32c"

# Recorded from a container with half a core and 256 MiB, Docker 20.10 on version 1.
VERSION_1 = {
    ("cpu", "cpu.stat"): "nr_periods 53\nnr_throttled 48\nthrottled_time 1386028488\nnr_bursts 0\nburst_time 0\n",
    ("cpu", "cpu.cfs_quota_us"): "50000\n",
    ("cpu", "cpu.cfs_period_us"): "100000\n",
    ("cpuacct", "cpuacct.usage"): "2555594322\n",
    ("memory", "memory.usage_in_bytes"): "1359872\n",
    ("memory", "memory.oom_control"): "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
    ("memory", "memory.stat"): (
        "cache 720896\nrss 110592\nshmem 0\ninactive_file 307200\nhierarchical_memory_limit 268435456\n"
        "hierarchical_memsw_limit 536870912\ntotal_cache 720896\ntotal_rss 110592\ntotal_shmem 4096\n"
        "total_inactive_file 307200\ntotal_active_file 413696\n"
    ),
    ("pids", "pids.current"): "1\n",
    (UNIFIED, "cpu.stat"): "usage_usec 2555594\nuser_usec 2550000\nsystem_usec 5594\n",  # of the hybrid layout
}
# After the kernel's own description of the interface (Documentation/admin-guide/cgroup-v2.rst).
VERSION_2 = {
    (UNIFIED, "cpu.stat"): (
        "usage_usec 2555594\nuser_usec 2550000\nsystem_usec 5594\nnr_periods 53\nnr_throttled 48\n"
        "throttled_usec 1386028\nnr_bursts 0\nburst_usec 0\n"
    ),
    (UNIFIED, "cpu.max"): "50000 100000\n",
    (UNIFIED, "memory.current"): "1359872\n",
    (UNIFIED, "memory.max"): "268435456\n",
    (UNIFIED, "memory.stat"): "anon 110592\nfile 720896\nkernel 409600\nshmem 4096\ninactive_file 307200\n",
    (UNIFIED, "memory.events"): "low 0\nhigh 0\nmax 3\noom 2\noom_kill 2\noom_group_kill 0\n",
    (UNIFIED, "pids.current"): "1\n",
}
SAME = Usage(
    cpu_s=2.555594,
    periods=53,
    throttled_periods=48,
    throttled_s=1.386028,
    cpu_limit_cores=0.5,
    used_bytes=1359872,
    reclaimable_bytes=307200,
    anon_bytes=110592 + 4096,
    memory_limit_bytes=256 * MIB,
    oom_kills=0,
    pids=1,
)


def test_both_versions_of_control_groups_tell_the_same() -> None:
    first = usage_of(VERSION_1)
    assert first.throttled_s == pytest.approx(1.386028488)  # in nanoseconds there
    assert replace(first, throttled_s=SAME.throttled_s) == SAME
    assert usage_of(VERSION_2) == replace(SAME, oom_kills=2)


def test_the_page_cache_is_neither_in_the_working_set_nor_in_what_cannot_be_given_back() -> None:
    usage = usage_of(VERSION_1)
    assert usage.memory_bytes == 1359872 - 307200
    assert usage.anon_bytes == 110592 + 4096


@pytest.mark.parametrize("texts", [VERSION_1, VERSION_2], ids=["v1", "v2"])
def test_without_limits_there_are_none(texts: dict[tuple[str, str], str]) -> None:
    unlimited = {
        **texts,
        ("cpu", "cpu.cfs_quota_us"): "-1\n",
        ("memory", "memory.stat"): "hierarchical_memory_limit 9223372036854771712\n",
        (UNIFIED, "cpu.max"): "max 100000\n",
        (UNIFIED, "memory.max"): "max\n",
    }
    usage = usage_of(unlimited)
    assert (usage.cpu_limit_cores, usage.memory_limit_bytes) == (None, None)


def test_what_is_not_told_is_not_read() -> None:
    assert usage_of({}) == Usage()
    assert Rates().of(Usage(), 1) == {}
    assert Rates().of(usage_of({("pids", "pids.current"): "7\n"}), 1) == {"pids": 7}
    assert usage_of({(UNIFIED, "memory.stat"): "anon 5\n"}).anon_bytes is None  # without shmem it would be too little


MOUNTS = """\
30 24 0:26 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:11 - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/memory rw,nosuid shared:12 - cgroup cgroup rw,memory
34 30 0:30 / /mnt/with\\040blank rw shared:13 - cgroup cgroup rw,pids
"""
LISTED = f"9:name=systemd:/docker/{ID}\n8:pids:/docker/{ID}\n4:memory:/docker/{ID}\n2:cpu,cpuacct:/docker/{ID}\n0::/\n"


def test_groups_are_where_the_mounts_say() -> None:
    assert folders(LISTED, MOUNTS, ID) == {
        "cpu": Path(f"/sys/fs/cgroup/cpu,cpuacct/docker/{ID}"),
        "cpuacct": Path(f"/sys/fs/cgroup/cpu,cpuacct/docker/{ID}"),
        "memory": Path(f"/sys/fs/cgroup/memory/docker/{ID}"),
        "pids": Path(f"/mnt/with blank/docker/{ID}"),
    }


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"/system.slice/docker-{ID}.scope", f"system.slice/docker-{ID}.scope"),
        (f"/machine.slice/libpod-{ID}.scope/container", f"machine.slice/libpod-{ID}.scope"),
        (f"/user.slice/user-1000.slice/docker-{ID}.scope/init", f"user.slice/user-1000.slice/docker-{ID}.scope"),
    ],
)
def test_the_group_is_the_containers_own_whoever_manages_it(path: str, expected: str) -> None:
    mounts = "30 24 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
    assert folders(f"0::{path}\n", mounts, ID) == {UNIFIED: Path("/sys/fs/cgroup", expected)}


def test_only_a_mounted_part_of_the_hierarchy_is_seen() -> None:
    part = f"30 24 0:26 /docker/{ID} /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    assert folders(f"0::/docker/{ID}\n", part, ID) == {UNIFIED: Path("/sys/fs/cgroup")}
    assert folders(f"0::/docker/{ID}\n", part.replace(ID, "another"), ID) == {}


def test_another_process_with_that_pid_is_not_taken_for_the_container() -> None:
    assert folders(LISTED, MOUNTS, ID.replace("1", "2")) == {}
    assert find(ID, 1) is None


def test_traffic_is_that_of_all_interfaces_but_the_loopback() -> None:
    table = (
        "Inter-|   Receive                  |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls\n"
        "    lo: 9999 9 0 0 0 0 0 0 9999 9 0 0 0 0 0 0\n"
        "  eth0:    1042      11    0    0    0     0          0         0        7       1    0    0    0     0\n"
        "  eth1:1 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0\n"
    )
    assert traffic(table) == (1043, 9)


# Rates


def test_rates_are_between_two_readings() -> None:
    rates = Rates()
    first = replace(usage_of(VERSION_1), rx_bytes=1000, tx_bytes=0)
    assert "cpu_share" not in rates.of(first, 10 * NS_PER_S)
    assert first.cpu_s is not None
    later = replace(
        first, cpu_s=first.cpu_s + 0.2, periods=58, throttled_periods=52, throttled_s=2.386028488, rx_bytes=1500,
        tx_bytes=0,
    )  # fmt: skip
    values = rates.of(later, 10 * NS_PER_S + NS_PER_S // 2)
    assert values["cpu_share"] == pytest.approx(0.4)
    assert values["cpu_of_limit"] == pytest.approx(0.8)
    assert values["throttled_share"] == pytest.approx(0.8)
    assert values["throttled_s"] == pytest.approx(1.0)
    assert (values["rx_bytes_per_s"], values["tx_bytes_per_s"]) == (1000, 0)


def test_where_nothing_wanted_to_run_no_share_is_told() -> None:
    rates = Rates()
    rates.of(usage_of(VERSION_1), NS_PER_S)
    assert "throttled_share" not in rates.of(usage_of(VERSION_1), 2 * NS_PER_S)


def test_counters_that_began_again_give_no_rate() -> None:
    rates = Rates()
    rates.of(usage_of(VERSION_1), NS_PER_S)
    again = replace(usage_of(VERSION_1), cpu_s=0.0, periods=0, throttled_periods=0, throttled_s=0.0)
    assert not {"cpu_share", "throttled_share", "throttled_s"} & set(rates.of(again, 2 * NS_PER_S))


# The engine's answers

INSPECTED: dict[str, Any] = {
    "State": {"Running": True, "Restarting": False, "OOMKilled": False, "Pid": 8836, "ExitCode": 0, "StartedAt": "A"},
    "RestartCount": 2,
    "HostConfig": {"NanoCpus": 500_000_000, "Memory": 256 * MIB, "CpuQuota": 0, "CpuPeriod": 0},
}
# Recorded with one_shot from the same container, shortened; of version 2, with the names that it has there.
STATS: dict[str, Any] = {
    "pids_stats": {"current": 1},
    "cpu_stats": {
        "cpu_usage": {"total_usage": 2619003610},
        "throttling_data": {"periods": 55, "throttled_periods": 50, "throttled_time": 1429890382},
    },
    "memory_stats": {
        "usage": 1359872,
        "stats": {"total_inactive_file": 307200, "inactive_file": 1, "total_rss": 110592},
        "limit": 268435456,
    },
    "networks": {"eth0": {"rx_bytes": 1042, "tx_bytes": 7}, "eth1": {"rx_bytes": 1, "tx_bytes": 2}},
}


def test_the_engine_tells_the_same_of_a_container() -> None:
    state = engine_answers.state_of(INSPECTED)
    assert (state.running, state.pid, state.restarts, state.out_of_memory) == (True, 8836, 2, False)
    usage = engine_answers.usage_of(STATS, state.limits)
    assert usage.cpu_s == pytest.approx(2.61900361)
    assert (usage.periods, usage.throttled_periods) == (55, 50)
    assert (usage.memory_bytes, usage.memory_limit_bytes, usage.cpu_limit_cores) == (1052672, 256 * MIB, 0.5)
    assert (usage.rx_bytes, usage.tx_bytes, usage.pids) == (1043, 9, 1)
    assert (usage.anon_bytes, usage.oom_kills) == (None, None)
    newer = {**STATS, "memory_stats": {"usage": 10, "stats": {"anon": 4, "shmem": 1, "inactive_file": 3}}}
    assert engine_answers.usage_of(newer, {}).anon_bytes == 5
    assert engine_answers.usage_of(newer, {}).memory_bytes == 7


def test_the_machines_memory_is_no_limit_and_no_quota_is_no_throttling() -> None:
    usage = engine_answers.usage_of(STATS, {"Memory": 0, "NanoCpus": 0, "CpuQuota": -1})
    assert (usage.memory_limit_bytes, usage.cpu_limit_cores, usage.periods) == (None, None, None)
    assert engine_answers.usage_of(STATS, {"CpuQuota": 150_000, "CpuPeriod": 100_000}).cpu_limit_cores == 1.5


def test_an_engine_that_tells_little_leaves_gaps() -> None:
    assert engine_answers.usage_of({"memory_stats": {}, "networks": None}, {}) == Usage()


def test_a_container_that_is_about_to_be_started_again_does_not_run() -> None:
    state = {**INSPECTED["State"], "Restarting": True}
    assert not engine_answers.state_of({**INSPECTED, "State": state}).running


# Lives


class Told(ContainerEngine):
    """An engine whose answers are given here; what it uses is told by no file."""

    def __init__(self) -> None:
        super().__init__(ID)
        self.now = engine_answers.state_of(INSPECTED)
        self.used = Usage(cpu_s=1.0)

    def state(self) -> State:
        return self.now

    def usage(self, state: State) -> Usage:
        return self.used


def probe_of(engine: Told) -> tuple[ContainerProbe, Callable[[], dict[str, float]]]:
    probe = ContainerProbe(Subject(1, container_id=ID), engine=engine, files=False)

    def values() -> dict[str, float]:
        readings = list(probe.read())
        assert all((one.source, one.arm) == ("container", 1) for one in readings)
        return {one.name: one.value for one in readings}

    return probe, values


def test_a_restart_is_counted_and_gives_no_rate() -> None:
    engine = Told()
    _, values = probe_of(engine)
    assert values() == {"restarts": 0}
    engine.now, engine.used = replace(engine.now, started_at="B", restarts=4, pid=9), Usage(cpu_s=5.0)
    assert values() == {"restarts": 2}
    assert "cpu_share" in values()


def test_a_container_that_ended_is_a_gap_unless_its_memory_limit_ended_it() -> None:
    engine = Told()
    _, values = probe_of(engine)
    values()
    engine.now = replace(engine.now, running=False, exit_code=1)
    with pytest.raises(TargetError, match="has ended") as ended:
        values()
    assert "exit status 1" in ended.value.evidence
    engine.now = replace(engine.now, exit_code=137, out_of_memory=True)
    assert values() == {"oom_kills": 1}
    with pytest.raises(TargetError, match="has ended"):
        values()


def test_kills_of_an_earlier_life_are_kept() -> None:
    engine = Told()
    _, values = probe_of(engine)
    engine.used = Usage(oom_kills=2)
    assert values()["oom_kills"] == 2
    engine.now, engine.used = replace(engine.now, started_at="B", restarts=3), Usage(oom_kills=0)
    assert values()["oom_kills"] == 2


def test_without_a_container_there_is_no_probe_and_without_files_it_comes_less_often() -> None:
    assert container.create(Subject(0, pids=(1,))) is None
    probe, _ = probe_of(Told())
    assert probe.interval_s == container.ENGINE_S


def test_an_engine_that_does_not_answer_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    probe = container.create(Subject(0, container_id=ID))
    assert probe is not None
    with pytest.raises(TargetError, match="no container engine answers"):
        list(probe.read())
    probe.close()
    probe.close()
