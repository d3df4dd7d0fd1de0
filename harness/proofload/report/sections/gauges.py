"""What a table calls the readings of probes, and in what order it gives them."""

from __future__ import annotations

from collections.abc import Mapping

from proofload.report.reduce.readings import Gauge
from proofload.report.text import printable

_MIB = 2.0**20
_OF_ANY = {
    "cpu_share": ("CPU (cores)", 1.0),
    "uss_bytes": ("memory of its own, USS (MiB)", _MIB),
    "rss_bytes": ("resident memory, RSS (MiB)", _MIB),
    "fds": ("file descriptors", 1.0),
    "threads": ("threads", 1.0),
    "sockets": ("sockets", 1.0),
    "inbound": ("connections of clients", 1.0),
    "fds_of_limit": ("file descriptors (% of their limit)", 0.01),
    "files_bytes": ("open files on disk (MiB)", _MIB),
    "written_bytes": ("written to disk (MiB)", _MIB),
    "disk_used_bytes": ("disks in use, by all (MiB)", _MIB),
    "processes": ("processes", 1.0),
    "births": ("processes that joined since the start", 1.0),
    "runnable_threads": ("threads that ran or wanted to", 1.0),
    "involuntary_switches_per_s": ("main threads taken off their core (times/s)", 1.0),
}
_OF_LIVENESS = {"ms": ("liveness page (ms)", 1.0), "ok": ("liveness page that answered (% of looks)", 0.01)}
_OF_CONTAINER = {
    "cpu_share": ("container: CPU (cores)", 1.0),
    "cpu_limit_cores": ("container: CPU limit (cores)", 1.0),
    "throttled_share": ("container: stopped by its CPU limit (% of scheduler periods)", 0.01),
    "memory_bytes": ("container: memory, working set (MiB)", _MIB),
    "anon_bytes": ("container: memory that cannot be given back (MiB)", _MIB),
    "memory_limit_bytes": ("container: memory limit (MiB)", _MIB),
    "oom_kills": ("container: processes killed at that limit", 1.0),
    "restarts": ("container: restarts", 1.0),
    "pids": ("container: processes and threads", 1.0),
    "rx_bytes_per_s": ("container: received (KiB/s)", 1024.0),
    "tx_bytes_per_s": ("container: sent (KiB/s)", 1024.0),
}
_OF_GPU = {
    "utilisation": ("GPU: busy (% of the time)", 0.01),
    "process_utilisation": ("GPU: busy with the target's own work (% of the time)", 0.01),
    "memory_utilisation": ("GPU: busy with its memory (% of the time)", 0.01),
    "memory_bytes": ("GPU: memory held (MiB)", _MIB),
    "memory_reserved_bytes": ("GPU: memory that the driver keeps (MiB)", _MIB),
    "memory_total_bytes": ("GPU: memory there is (MiB)", _MIB),
    "power_w": ("GPU: power of the boards (W)", 1.0),
    "power_limit_w": ("GPU: power limit of the boards (W)", 1.0),
    "clock_sm_mhz": ("GPU: clock (MHz)", 1.0),
    "clock_memory_mhz": ("GPU: clock of its memory (MHz)", 1.0),
    "temperature_c": ("GPU: temperature (°C)", 1.0),
    "throttle_power_cap": ("GPU: clock held down by the power limit (% of readings)", 0.01),
    "throttle_thermal": ("GPU: clock held down by heat (% of readings)", 0.01),
    "throttle_hardware_thermal": ("GPU: clock held down by heat, by the hardware (% of readings)", 0.01),
    "throttle_hardware_slowdown": ("GPU: clock held down by the hardware (% of readings)", 0.01),
    "throttle_power_brake": ("GPU: clock held down by the power supply (% of readings)", 0.01),
    "throttle_sync_boost": ("GPU: clock held down to that of others (% of readings)", 0.01),
    "neighbours": ("GPU: processes of others on it", 1.0),
    "devices": ("GPU: devices", 1.0),
    "whole_device": ("GPU: read as a whole, neighbours included (1: yes)", 1.0),
    "shared_board": ("GPU: an instance; power and clocks are of the whole board (1: yes)", 1.0),
}
_BY_SOURCE: Mapping[str, Mapping[str, tuple[str, float]]] = {
    "container": _OF_CONTAINER,
    "gpu": _OF_GPU,
    "liveness": _OF_LIVENESS,
}
"""Of these sources nothing else is told: it follows from what is."""
_ONLY_IF_SEEN = ("throttle_", "neighbours", "whole_device", "shared_board")


def named(gauge: Gauge) -> tuple[str, float]:
    """What it is called, and what its unit is in the reading's; an empty name where it is not told."""
    if gauge.source in _BY_SOURCE:
        if gauge.source == "gpu" and gauge.peak <= 0 and gauge.name.startswith(_ONLY_IF_SEEN):
            return "", 1.0
        return _BY_SOURCE[gauge.source].get(gauge.name, ("", 1.0))
    return _OF_ANY.get(gauge.name, (printable(f"{gauge.source} {gauge.name}", 60).replace("_", " "), 1.0))


def order(gauge: Gauge) -> tuple[int, str, int, str]:
    known = list(_BY_SOURCE.get(gauge.source, _OF_ANY))
    return gauge.arm, gauge.source, known.index(gauge.name) if gauge.name in known else len(known), gauge.name
