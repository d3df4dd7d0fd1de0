"""Removing the containers that a run left behind. Standard library only: the watchdog imports it.

Containers are found by their label, so that one made in the instant in which the lab was killed is found too.

    python -m proofload._container_sweep ENDPOINT CONTAINER TOKEN

says so once it can speak to the engine, waits for CONTAINER to end, and then removes all with the token: for a lab that
is itself in a container, whose watchdog ends with it.
"""

from __future__ import annotations

import http.client
import json
import socket
import sys
from contextlib import closing
from urllib.parse import quote, urlsplit

LABEL = "io.proofload.run"
"""Label of every container that a run creates; its value is the run's token."""
UP = "waiting for the end of the lab's container"
_PATIENCE_S = 20.0


def ping(endpoint: str) -> None:
    """Raises OSError or HTTPException when no engine answers there."""
    status, _ = _ask(endpoint, "GET", "/_ping")
    if status != http.HTTPStatus.OK:
        raise OSError(f"it answered {status}")


def sweep(endpoint: str, token: str) -> tuple[int, int]:
    """Remove all containers with the token, running or not: how many were there, and how many could not be removed.

    Raises OSError or HTTPException when the engine does not answer.
    """
    filters = quote(json.dumps({"label": [f"{LABEL}={token}"]}))
    status, body = _ask(endpoint, "GET", f"/containers/json?all=1&filters={filters}")
    if status != http.HTTPStatus.OK:
        raise OSError(f"the container engine answered {status}")
    found = [one["Id"] for one in json.loads(body)]
    removed = [_ask(endpoint, "DELETE", f"/containers/{one}?force=1&v=1")[0] for one in found]
    gone = {http.HTTPStatus.NO_CONTENT, http.HTTPStatus.NOT_FOUND, http.HTTPStatus.CONFLICT}  # or someone is at it
    return len(found), sum(status not in gone for status in removed)


def outlive(endpoint: str, container: str, token: str) -> int:
    """Wait for the end of `container`, then sweep. The number of containers that could not be removed."""
    ping(endpoint)
    sys.stdout.write(f"{UP}\n")
    sys.stdout.flush()
    status, _ = _ask(endpoint, "POST", f"/containers/{container}/wait?condition=not-running", patience_s=None)
    if status not in {http.HTTPStatus.OK, http.HTTPStatus.NOT_FOUND}:  # removed before we could ask
        raise OSError(f"the container engine answered {status}")
    return sweep(endpoint, token)[1]


def _ask(endpoint: str, method: str, path: str, patience_s: float | None = _PATIENCE_S) -> tuple[int, bytes]:
    with closing(_connection(endpoint, patience_s)) as connection:
        connection.request(method, path, headers={"Host": "engine"})
        answer = connection.getresponse()
        return answer.status, answer.read()


def _connection(endpoint: str, patience_s: float | None) -> http.client.HTTPConnection:
    parts = urlsplit(endpoint)
    if parts.scheme != "unix":
        return http.client.HTTPConnection(parts.hostname or "", parts.port or 2375, timeout=patience_s)
    connection = http.client.HTTPConnection("engine", timeout=patience_s)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.settimeout(patience_s)
    try:
        connection.sock.connect(parts.path)
    except OSError:
        connection.close()
        raise
    return connection


if __name__ == "__main__":
    sys.exit(outlive(*sys.argv[1:]))
