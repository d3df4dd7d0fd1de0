"""Whether a target's local ports are its own: a load that reaches somebody else's server proves nothing."""

from __future__ import annotations

from urllib.parse import urlsplit

from proofload.errors import TargetError
from proofload.runtimes._ports import holder, listening, socket_inodes
from proofload.runtimes._readiness import Address, watched_address
from proofload.runtimes._started import Started
from proofload.target_model import Target


def refuse_held_ports(target: Target) -> None:
    """Before the start: raises TargetError when somebody listens on a port that the target fixes."""
    for port in _own_ports(target):
        if listening(port):
            raise _held(target, port, "before it was started")


def refuse_foreign_listener(server: Started) -> None:
    """After the start: raises TargetError when somebody else listens where the target should."""
    address = watched_address(server.target)
    if not address.is_loopback or address.port not in _own_ports(server.target):
        return
    inodes = listening(address.port)
    ours: set[int] = set()
    for pid in server.tree():
        sockets = socket_inodes(pid)
        if sockets is None:
            return  # another user's process in the tree, or one that just ended: nothing can be proven
        ours |= sockets
    if inodes and not inodes & ours:
        raise _held(server.target, address.port, "while it was starting")


def _own_ports(target: Target) -> list[int]:
    """Local ports that the target itself is to listen on, as far as known. A Kafka URL is the broker's."""
    urls = [] if urlsplit(target.url).scheme.lower() == "kafka" else [target.url]
    urls += [url for url in (target.ready_url, target.live_url, target.metrics_url) if url is not None]
    addresses = [Address.of(url) for url in urls if "{" not in urlsplit(url).netloc]
    return list(dict.fromkeys(address.port for address in addresses if address.is_loopback))


def _held(target: Target, port: int, when: str) -> TargetError:
    who = holder(port)
    evidence = f"{who.name} (pid {who.pid}) listens on it" if who else "another user's process listens on it"
    stop = f"stop that process (`kill {who.pid}`)" if who else "see who it is with `sudo ss -tlnp`"
    return TargetError(
        f"port {port} of target {target.name} was taken {when}",
        evidence=evidence,
        cause="a server left from earlier, or two targets with the same fixed port",
        remedy=f"{stop}, or write {{port}} in the target file so that a free one is chosen",
    )
