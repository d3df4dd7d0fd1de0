"""Is the server that is this container's first process ready? Exit 0: yes; 1: no, and why. For a HEALTHCHECK.

    HEALTHCHECK CMD ["python", "-m", "proofload_servers.ready_check"]

What to ask is read from the server's own command line and environment, so that it stays right when the flags change;
which of its ports speaks HTTP, from its target file.
It begins anew every few seconds beside a server that is being measured. So it imports next to nothing: 15 ms of CPU a
time, a third of that the interpreter's own.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence

DEFAULTS = {"--host": "127.0.0.1", "--port": "8000", "--metrics-port": "0"}
FIRST_PROCESS = "/proc/1/cmdline"
TIMEOUT_S = 2.0
REQUEST = b"GET /health/ready HTTP/1.1\r\nHost: ready-check\r\nConnection: close\r\n\r\n"
ENOUGH_BYTES = 4096


def address(argv: Sequence[str], env: Mapping[str, str]) -> tuple[str, int]:
    """Where to ask the server that was started as `argv`. Raises ValueError when that cannot be known."""
    servers = [word.partition(".")[2] for word in argv if word.startswith("proofload_servers.")]
    if not servers:
        raise ValueError(f"the first process is none of our servers: {' '.join(argv)}")
    flag = "--metrics-port" if _has_side_port(servers[0]) else "--port"
    port = int(_setting(flag, argv, env))
    if port == 0:
        raise ValueError(f"{flag} is 0, so the server chose a port that nobody knows: give it one")
    host = _setting("--host", argv, env)
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104  listening everywhere is here, too


def answer(host: str, port: int) -> tuple[int, str]:
    """The status and the body of the server's answer. Raises OSError, or ValueError for what is no HTTP."""
    received = b""
    with socket.create_connection((host, port), TIMEOUT_S) as connection:
        connection.sendall(REQUEST)
        while len(received) < ENOUGH_BYTES and (part := connection.recv(ENOUGH_BYTES)):
            received += part
    head, _, body = received.partition(b"\r\n\r\n")
    version, _, rest = head.partition(b" ")
    if not version.startswith(b"HTTP/1."):
        raise ValueError(f"{host}:{port} answers something else than HTTP")
    return int(rest[:3]), body.decode(errors="replace").strip()


def main() -> int:
    try:
        with open(FIRST_PROCESS, "rb") as file:  # noqa: PTH123  pathlib takes as long to import as all the rest
            argv = [word.decode() for word in file.read().split(b"\0") if word]
        host, port = address(argv, os.environ)
        status, body = answer(host, port)
    except (OSError, ValueError) as exc:
        sys.stdout.write(f"not ready: {exc}\n")
        return 1
    sys.stdout.write(f"{host}:{port} answers {status} {body}\n")
    return 0 if status == 200 else 1


def _has_side_port(server: str) -> bool:
    """Whether it is on the port for metrics that the server says it is ready."""
    try:
        with open(f"{os.path.dirname(__file__)}/{server}/target.toml", encoding="utf-8") as file:  # noqa: PTH120, PTH123
            return any(line.startswith("ready =") and "{port:metrics}" in line for line in file)
    except FileNotFoundError:
        return False


def _setting(flag: str, argv: Sequence[str], env: Mapping[str, str]) -> str:
    """As the server itself has it: the last such flag, else the variable, else the default."""
    value = env.get("PROOFLOAD_" + flag.lstrip("-").replace("-", "_").upper(), DEFAULTS[flag])
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        if word == flag:
            value = following
        elif word.startswith(f"{flag}="):
            value = word.partition("=")[2]
    return value


if __name__ == "__main__":
    sys.exit(main())
