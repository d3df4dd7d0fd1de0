"""Ports that are handed out are free, different, and out of the way of outgoing connections."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from proofload.errors import MeasurementError
from proofload.runtimes import _ports
from proofload.runtimes._ports import free_ports, holder, listening


def test_ports_are_different_free_and_below_the_ephemeral_range() -> None:
    ports = free_ports(str(number) for number in range(50))
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    assert len(set(ports.values())) == 50
    assert first < 11_024 or max(ports.values()) < first
    assert not any(listening(port) for port in ports.values())


def test_no_free_port_is_an_error_and_no_endless_search(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        monkeypatch.setattr("random.choice", lambda _: taken)
        monkeypatch.setattr(_ports, "_TRIES", 5)
        with pytest.raises(MeasurementError, match="no free port"):
            free_ports(["x"])


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_a_listener_is_found_with_its_process(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        server = socket.create_server((address, 0), family=family)
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with server:
        who = holder(server.getsockname()[1])
        assert who is not None
        assert who.pid == os.getpid()
        assert who.name
    assert holder(1) is None


def test_a_bound_port_that_does_not_listen_is_no_listener() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert not listening(bound.getsockname()[1])
