"""What the lab reports of a server, held against what the server knows of itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.truth.conftest import Load, Witness

pytestmark = [pytest.mark.real, pytest.mark.quiet]

RATE = 1000
LEVELS = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99_9": 0.999}


def nearest_rank(values: np.ndarray, q: float) -> float:
    return float(np.sort(values)[max(0, int(np.ceil(len(values) * q - 1e-9)) - 1)])


def test_service_times_are_those_the_server_logged(witness: Callable[..., Witness], load: Load) -> None:
    """p99.9 needs 20,000 answers. No warm-up is left out, so both sides speak of the same requests."""
    server = witness("--median-ms", 5, "--sigma", 0.6, "--seed", 7)
    run = load(server.url, duration_s=22).ended()
    truth_ms = np.array(server.testimony()["service_ns"]) / 1e6
    assert (run.code, run.result["status"]) == (0, "pass"), run.result["validity"]
    assert run.main["service_ms"]["n"] == len(truth_ms) == 22 * RATE
    off = {}
    for name in ("p50", "p90", "p99", "p99_9"):
        true, seen = nearest_rank(truth_ms, LEVELS[name]), run.main["service_ms"][name]
        assert seen is not None, name
        if abs(seen - true) > max(0.03 * true, 0.4):
            off[name] = (true, seen)
    assert not off


def test_a_server_that_freezes_one_second_in_ten_has_the_latencies_that_theory_gives(
    witness: Callable[..., Witness], load: Load
) -> None:
    """A request due while the server stands still waits for the rest of the freeze, and so does one whose answer was
    due then. A client that waits for answers before it sends on would miss nearly all of it."""
    service_ms, freeze_s, every_s = 20.0, 1.0, 10.0
    server = witness("--median-ms", service_ms, "--freeze", freeze_s, "--freeze-every", every_s)
    # No request waits for a connection: what the cap adds is real, and not in this theory.
    run = load(server.url, duration_s=30, connections=1500).ended()
    assert not run.spoiled, run.result["validity"]
    # Time from the start of a freeze, for requests that are due at a steady rate over whole periods.
    due_s = np.arange(30 * RATE) / RATE % every_s
    latency_ms = np.full(len(due_s), service_ms)
    frozen = due_s < freeze_s
    latency_ms[frozen] += 1e3 * (freeze_s - due_s[frozen])
    caught = due_s >= every_s - service_ms / 1e3
    latency_ms[caught] = 1e3 * (freeze_s + every_s - due_s[caught])
    theory = {name: nearest_rank(latency_ms, LEVELS[name]) for name in ("p50", "p95", "p99")}
    seen = {name: run.main["latency_ms"][name] for name in theory}
    assert seen == pytest.approx(theory, rel=0.05)
    assert len(server.testimony()["freezes_ns"]) >= 3
