"""The machine: is there room for a client and a target beside each other, and is it left alone?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from proofload.accelerators import described, opened
from proofload.doctor.findings import Finding, Grade, first_line
from proofload.errors import Unavailable

_ENOUGH_SHM_BYTES = 64 << 20


def cores() -> Finding:
    usable = sorted(os.sched_getaffinity(0))
    says = f"{os.cpu_count()}, of which usable: {_ranges(usable)}"
    quota = _cpu_quota()
    if quota is not None:
        says += f"; a control group allows {quota:.3g} cores' worth of time"
    if len(usable) < 2 or (quota is not None and quota < 2):
        return Finding("cores", Grade.DOUBT, says, "give it two: client and target share one and disturb each other")
    return Finding("cores", Grade.GOOD, says)


def memory() -> Finding:
    import psutil

    now = psutil.virtual_memory()
    says = f"{now.total / 2**30:.1f} GiB, {now.available / 2**30:.1f} GiB free to use"
    if now.available < 2**30:
        return Finding("memory", Grade.DOUBT, says, "close something: a run of the reference servers takes about 1 GiB")
    return Finding("memory", Grade.GOOD, says)


def shared_memory() -> Finding:
    name = "/dev/shm"  # noqa: S108  asked about, not written to
    try:
        room = os.statvfs(name)
    except OSError as exc:
        return Finding(name, Grade.NOTE, f"not there ({exc.strerror})")
    free = room.f_bavail * room.f_frsize
    says = f"{room.f_blocks * room.f_frsize / 2**20:,.0f} MiB, {free / 2**20:,.0f} MiB free"
    if free < _ENOUGH_SHM_BYTES:
        return Finding(name, Grade.NOTE, says + "; small for servers that share memory between processes")
    return Finding(name, Grade.GOOD, says)


def governor() -> Finding:
    found = {
        first_line(str(path)) for path in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")
    }
    if not found:
        return Finding("CPU governor", Grade.NOTE, "not visible (usual in virtual machines and containers)")
    says = ", ".join(sorted(found))
    if found <= {"performance"}:
        return Finding("CPU governor", Grade.GOOD, says)
    remedy = "for steady numbers: sudo cpupower frequency-set -g performance"
    return Finding("CPU governor", Grade.DOUBT, f"{says}: the clock rate follows the load", remedy)


def accelerators() -> Finding:
    try:
        with opened():
            pass
    except Unavailable as exc:
        return Finding("accelerators", Grade.NOTE, f"none to be read ({exc.evidence}); only --device cpu will work")
    found = described()
    says = "; ".join(
        ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in one.items()) for one in found.values()
    )
    return Finding("accelerators", Grade.GOOD if found else Grade.DOUBT, says or "there, and they do not answer")


def steal() -> Finding:
    import psutil

    times = psutil.cpu_times()
    total = sum(times)
    share = getattr(times, "steal", 0.0) / total if total else 0.0
    says = f"{share:.2%} of the time since boot was taken by the hypervisor"
    if share > 0.01:
        return Finding("CPU steal", Grade.DOUBT, says, "use a machine with cores of its own; repeat and compare ratios")
    return Finding("CPU steal", Grade.GOOD, says)


def load_average() -> Finding:
    now, usable = os.getloadavg()[0], len(os.sched_getaffinity(0))
    says = f"{now:.2f} on {usable} cores in the last minute"
    if now > 0.5 * usable:
        return Finding("load", Grade.DOUBT, says, "wait, or stop what is running: it competes with the measurement")
    return Finding("load", Grade.GOOD, says)


def _cpu_quota() -> float | None:
    quota, _, period = first_line("/sys/fs/cgroup/cpu.max").partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def _ranges(numbers: Sequence[int]) -> str:
    """ "0–3, 6"."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{part[0]}–{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)
