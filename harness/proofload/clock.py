"""Time, injected. All instants in the program are integer nanoseconds of one monotonic clock per host.

`time.monotonic_ns` is CLOCK_MONOTONIC on Linux, the same in every process of a host, so instants of
the lab, its engine processes and its probes can be subtracted. Instants of two hosts never are.
"""

from __future__ import annotations

import platform
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


class Clock(Protocol):
    """What code that waits or stamps needs of time. Tests pass a virtual one."""

    def now_ns(self) -> int: ...

    def sleep(self, seconds: float) -> None: ...


class MonotonicClock:
    """The host's own clock."""

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class HostClock:
    """Names the host whose monotonic clock a run used, and how to turn its instants into wall time.

    wall time (ns since the Unix epoch) = instant + `wall_offset_ns`.
    """

    host_id: str
    wall_offset_ns: int

    @staticmethod
    def here() -> HostClock:
        return HostClock(host_id=_host_id(), wall_offset_ns=time.time_ns() - time.monotonic_ns())


def _host_id() -> str:
    """The boot id where there is one: a monotonic clock starts anew at each boot."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"{platform.node()}-{uuid.getnode():x}"
