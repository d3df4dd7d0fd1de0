"""Limits on connections: file descriptors, local ports, and how soon a port is to be had again."""

from __future__ import annotations

import resource

from proofload.doctor.findings import Finding, Grade, first_line

_ENOUGH_FILES = 4096
_ENOUGH_PORTS = 10_000


def open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    says = f"{_limit(soft)} (can be raised to {_limit(hard)})"
    most = float("inf") if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < _ENOUGH_FILES:
        remedy = f"ulimit -n {min(most, 65_536):.0f}, for more than {max(soft - 64, 0):,} connections"
        return Finding("open files", Grade.DOUBT if most < _ENOUGH_FILES else Grade.NOTE, says, remedy)
    return Finding("open files", Grade.GOOD, says)


def local_ports() -> Finding:
    try:
        low, high = map(int, first_line("/proc/sys/net/ipv4/ip_local_port_range").split())
    except ValueError:
        return Finding("local ports", Grade.NOTE, "range not visible")
    says = f"{low}–{high}: {high - low + 1:,} connections to one address"
    if high - low < _ENOUGH_PORTS:
        return Finding("local ports", Grade.DOUBT, says, "sudo sysctl -w net.ipv4.ip_local_port_range='15000 65000'")
    return Finding("local ports", Grade.GOOD, says)


def time_wait() -> Finding:
    reuse = first_line("/proc/sys/net/ipv4/tcp_tw_reuse")
    meaning = {"0": "never", "1": "for all", "2": "on the loopback interface"}.get(reuse)
    if meaning is None:
        return Finding("TIME_WAIT reuse", Grade.NOTE, "not visible")
    if reuse == "0":
        remedy = "targets that close after each answer use up the ports: sudo sysctl -w net.ipv4.tcp_tw_reuse=1"
        return Finding("TIME_WAIT reuse", Grade.DOUBT, meaning, remedy)
    return Finding("TIME_WAIT reuse", Grade.GOOD, meaning)


def _limit(value: int) -> str:
    return "no limit" if value == resource.RLIM_INFINITY else f"{value:,}"
