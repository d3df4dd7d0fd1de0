"""Which process answers on a port of this machine: so that a target given by its URL alone can be probed, too."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

import psutil

_FORWARDERS = frozenset({"docker-proxy", "rootlessport", "ssh", "kubectl", "slirp4netns"})
"""They hold a port for somebody else: reading them would tell nothing of the target."""
_PORTS = {"http": 80, "https": 443}


def listener(url: str) -> int | None:
    """The pid of the process that listens where the URL points, its oldest ancestor that does so too (a server and
    its forked workers share the socket). None: not on this machine, not to be seen, a forwarder, or the lab itself."""
    parts = urlsplit(url)
    port = parts.port or _PORTS.get(parts.scheme.lower())
    if port is None:
        return None
    try:
        listening = [one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    except (psutil.Error, OSError):
        return None
    holders = {one.pid for one in listening if one.laddr and one.laddr.port == port and one.pid}
    if not holders or os.getpid() in holders:
        return None
    try:
        roots = {_oldest(psutil.Process(pid), holders) for pid in holders}
        names = {psutil.Process(pid).name() for pid in roots}
    except psutil.Error:
        return None
    return roots.pop() if len(roots) == 1 and not names & _FORWARDERS else None


def _oldest(process: psutil.Process, holders: set[int]) -> int:
    found = process.pid
    for parent in process.parents():
        if parent.pid in holders:
            found = parent.pid
    return found
