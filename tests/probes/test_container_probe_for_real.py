"""Container readings of containers whose use is known."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from proofload.errors import TargetError
from proofload.probes import Subject
from proofload.probes.container import ContainerProbe

if TYPE_CHECKING:
    import docker

pytestmark = [pytest.mark.real, pytest.mark.containers]

MIB = 1 << 20
IMAGE = "debian:bookworm-slim"
LIMIT = 32 * MIB
BUSY = "while :; do :; done"
HOLD = "head -c 8388608 /dev/zero > /dev/shm/held; cat /bin/* > /dev/null; sleep 600"
BURST = "sleep 600 & tail /dev/zero; sleep 600"
"""The second process takes memory without end, is killed, and the first goes on."""
WAITING_BURST = "until [ -e /go ]; do sleep 0.05; done; exec tail /dev/zero"
PATIENCE_S = 60.0


@contextmanager
def running(engine: docker.DockerClient, script: str, **options: Any) -> Iterator[Any]:
    made = engine.containers.run(IMAGE, ["sh", "-c", script], detach=True, network_mode="bridge", **options)
    try:
        made.reload()
        yield made
    finally:
        made.remove(force=True)


def probe_of(made: Any, *, files: bool = True) -> ContainerProbe:
    pids = (made.attrs["State"]["Pid"],) if files else ()
    return ContainerProbe(Subject(0, pids=pids, container_id=made.id), files=files)


def values(probe: ContainerProbe) -> dict[str, float]:
    return {reading.name: reading.value for reading in probe.read()}


def until(probe: ContainerProbe, claim: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """The first reading of which the claim holds; the last one when patience has ended."""
    patience = time.monotonic() + PATIENCE_S
    while True:
        seen = values(probe)
        if claim(seen) or time.monotonic() > patience:
            return seen
        time.sleep(0.5)


@pytest.mark.parametrize("files", [True, False], ids=["files", "engine"])
def test_half_a_core_is_seen_to_be_all_it_gets(container_engine: docker.DockerClient, files: bool) -> None:
    with running(container_engine, f"({BUSY}) & {BUSY}", nano_cpus=500_000_000) as made:
        probe = probe_of(made, files=files)
        values(probe)
        time.sleep(1)
        seen = until(probe, lambda seen: seen.get("throttled_share", 0.0) > 0.0)
        probe.close()
    assert seen["cpu_limit_cores"] == 0.5
    assert 0.0 < seen["throttled_share"] <= 1.0
    assert seen["throttled_s"] > 0.0
    assert seen["cpu_of_limit"] > 0.0
    assert seen["restarts"] == 0
    assert "memory_limit_bytes" not in seen


def test_memory_is_told_with_and_without_what_can_be_given_back(container_engine: docker.DockerClient) -> None:
    with running(container_engine, HOLD, mem_limit=LIMIT, memswap_limit=LIMIT, shm_size=16 * MIB) as made:
        probe = probe_of(made)
        if probe.interval_s != 0.5:
            pytest.skip("this host does not show the control groups of its containers")
        seen = until(probe, lambda seen: seen["usage_bytes"] > 12 * MIB)
        probe.close()
    assert seen["memory_limit_bytes"] == LIMIT
    assert 8 * MIB <= seen["anon_bytes"] <= seen["usage_bytes"]
    assert seen["anon_bytes"] < 12 * MIB
    assert seen["memory_bytes"] <= seen["usage_bytes"] <= LIMIT
    assert seen["memory_of_limit"] == pytest.approx(seen["memory_bytes"] / LIMIT)
    assert seen["oom_kills"] == 0
    assert "throttled_share" not in seen


def test_a_process_that_the_memory_limit_killed_is_counted(container_engine: docker.DockerClient) -> None:
    with running(container_engine, BURST, mem_limit=LIMIT, memswap_limit=LIMIT) as made:
        probe = probe_of(made)
        if probe.interval_s != 0.5:
            pytest.skip("this host does not show the control groups of its containers")
        seen = until(probe, lambda seen: seen["oom_kills"] > 0)
        assert values(probe)["restarts"] == 0
        probe.close()
    assert seen["oom_kills"] == 1


@pytest.mark.parametrize("files", [True, False], ids=["files", "engine"])
def test_a_container_that_its_memory_limit_ended_says_so_once(
    container_engine: docker.DockerClient, files: bool
) -> None:
    with running(container_engine, WAITING_BURST, mem_limit=LIMIT, memswap_limit=LIMIT) as made:
        probe = probe_of(made, files=files)
        values(probe)
        made.exec_run(["touch", "/go"], detach=True)
        made.wait(timeout=PATIENCE_S)
        assert values(probe) == {"oom_kills": 1}
        with pytest.raises(TargetError, match="has ended"):
            values(probe)
        probe.close()


@pytest.mark.parametrize("files", [True, False], ids=["files", "engine"])
def test_a_container_that_is_started_again_is_followed(container_engine: docker.DockerClient, files: bool) -> None:
    with running(container_engine, "sleep 600") as made:
        probe = probe_of(made, files=files)
        assert values(probe)["restarts"] == 0
        made.restart(timeout=0)
        assert values(probe)["restarts"] == 1
        time.sleep(0.1)
        seen = values(probe)
        probe.close()
    assert seen["restarts"] == 1
    assert seen["cpu_share"] >= 0.0
