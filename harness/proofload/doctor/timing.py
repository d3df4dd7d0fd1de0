"""The clock: how finely it is read, and how late a sleeper wakes."""

from __future__ import annotations

import itertools
import time

from proofload.doctor.findings import Finding, Grade, first_line

_TIMER_TRIES = 200


def clock_source() -> Finding:
    source = first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    if not source:
        return Finding("clock source", Grade.NOTE, "not visible")
    if source in {"tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"}:
        return Finding("clock source", Grade.GOOD, source)
    remedy = "it takes a system call to read: at high rates the client spends its time on the clock"
    return Finding("clock source", Grade.DOUBT, source, remedy)


def clock_step() -> Finding:
    """The smallest step seen, and what a reading costs."""
    readings = [time.monotonic_ns() for _ in range(20_000)]
    steps = [later - earlier for earlier, later in itertools.pairwise(readings) if later > earlier]
    if not steps:
        return Finding("clock step", Grade.BROKEN, "the monotonic clock stands still", "repair the machine's clock")
    cost = (readings[-1] - readings[0]) / (len(readings) - 1)
    says = f"{min(steps):,} ns at the finest; a reading costs {cost:,.0f} ns"
    if min(steps) > 100_000:
        return Finding("clock step", Grade.DOUBT, says, "too coarse for latencies below a millisecond")
    return Finding("clock step", Grade.GOOD, says)


def timer() -> Finding:
    """How late a sleep of 1 ms wakes up: scheduling and timer slack together."""
    late = sorted(_overslept(0.001) for _ in range(_TIMER_TRIES))
    median, p99 = late[len(late) // 2] / 1e6, late[int(len(late) * 0.99)] / 1e6
    slack = first_line("/proc/self/timerslack_ns")
    says = f"a sleep of 1 ms ends {median:.2f} ms late at the median, {p99:.2f} ms at p99" + (
        f"; slack {int(slack) // 1000} µs" if slack.isdigit() else ""
    )
    if p99 > 5:
        return Finding("timer", Grade.DOUBT, says, "something else uses the cores: stop it, or runs may be invalid")
    return Finding("timer", Grade.GOOD, says)


def _overslept(seconds: float) -> int:
    before = time.monotonic_ns()
    time.sleep(seconds)
    return time.monotonic_ns() - before - round(seconds * 1e9)
