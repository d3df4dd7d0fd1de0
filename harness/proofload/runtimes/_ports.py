"""Local TCP ports: free ones to hand out, and who listens on one. Linux, from /proc/net.

Looking into the kernel's table instead of connecting leaves no trace in the server that is watched.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from proofload.errors import MeasurementError

_LISTEN = "0A"
_LOWEST = 10_000
_TRIES = 2_000
_HERE = {
    "0100007F",  # 127.0.0.1
    "00000000",  # 0.0.0.0
    "0" * 32,  # ::
    "00000000000000000000000001000000",  # ::1
    "0000000000000000FFFF00000100007F",  # ::ffff:127.0.0.1
}
"""Addresses, as the kernel prints them on little-endian machines, that answer on 127.0.0.1 or ::1."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that listens on a port."""

    pid: int
    name: str


def free_ports(names: Iterable[str]) -> dict[str, int]:
    """A different free port of 127.0.0.1 for each name.

    Taken from below the range that the kernel gives to outgoing connections: those of the lab itself
    could otherwise take the port before the server binds it. Bound without SO_REUSEADDR, so no port
    with remains of earlier connections is given out. Raises MeasurementError when none is free.
    """
    top = _ephemeral_start()
    chosen: dict[str, int] = {}
    held: list[socket.socket] = []
    try:
        for name in names:
            taken = _bind_one(range(_LOWEST, top) if top - _LOWEST >= 1024 else range(_LOWEST, 65536))
            held.append(taken)  # kept until all are chosen, so that no two names get the same one
            chosen[name] = int(taken.getsockname()[1])
    finally:
        for taken in held:
            taken.close()
    return chosen


def listening(port: int) -> frozenset[int]:
    """Socket inodes that listen on this port where 127.0.0.1 or ::1 reaches them; empty: nobody does."""
    return frozenset(inode for found, address, inode in _listeners("/proc/net") if found == port and address in _HERE)


def listening_inside(pid: int, port: int) -> frozenset[str]:
    """Addresses, as the kernel prints them, that a port listens on in the network namespace of a process."""
    return frozenset(address for found, address, _ in _listeners(f"/proc/{pid}/net") if found == port)


def only_itself(addresses: Iterable[str]) -> bool:
    """Whether all of these are loopback addresses: a port published from outside does not reach them."""
    return set(addresses) <= _HERE - {"00000000", "0" * 32}


def holder(port: int) -> Holder | None:
    """Who listens on the port; None when nobody does, or a process that this user may not look into."""
    wanted = listening(port)
    if wanted:
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and wanted & (socket_inodes(int(entry.name)) or frozenset()):
                return Holder(int(entry.name), _name(int(entry.name)))
    return None


def socket_inodes(pid: int) -> frozenset[int] | None:
    """Inodes of the sockets that a process has open; None when it is gone or may not be looked into."""
    inodes: set[int] = set()
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # closed meanwhile
                    link = os.readlink(entry.path)  # noqa: PTH115  hot when all processes are looked through
                    if link.startswith("socket:["):
                        inodes.add(int(link[8:-1]))
    except OSError:
        return None
    return frozenset(inodes)


def _bind_one(ports: range) -> socket.socket:
    for _ in range(_TRIES):
        candidate = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            candidate.bind(("127.0.0.1", random.choice(ports)))  # noqa: S311  any free one will do
        except OSError:
            candidate.close()
        else:
            return candidate
    raise MeasurementError(
        "no free port was found on 127.0.0.1",
        evidence=f"tried {_TRIES} times between {ports.start} and {ports.stop - 1}",
        remedy="see what holds them: `ss -tlnp`; or give a fixed port in the target's url",
    )


def _ephemeral_start() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):
        return 32_768


def _listeners(net: str) -> Iterator[tuple[int, str, int]]:
    """Port, address and inode of every listening socket."""
    for table in ("tcp", "tcp6"):
        try:
            text = Path(f"{net}/{table}").read_text(encoding="ascii")
        except OSError:
            continue  # a kernel without IPv6
        for line in text.splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN:
                address, _, port = fields[1].partition(":")
                yield int(port, 16), address, int(fields[9])


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "?"
