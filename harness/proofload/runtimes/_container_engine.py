"""The container engine of this host: Docker's API, which Podman's socket speaks too."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound

from proofload._container_sweep import ping
from proofload.errors import InputError, TargetError
from proofload.runtimes._readiness import Address

OURS = "proofload-servers"
"""The reference servers' image, whatever its tag."""
_LOCAL = "unix:///var/run/docker.sock"
_TLS = ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
"""Set and not empty, they make Docker's tools speak TLS wherever they speak TCP."""
_ANSWER_TIMEOUT_S = 60.0


def endpoint() -> str:
    """Where the engine is, by DOCKER_HOST as for all of Docker's tools."""
    return os.environ.get("DOCKER_HOST") or _LOCAL


@contextmanager
def engine() -> Iterator[docker.DockerClient]:
    """A client of the engine. Raises InputError where there is none, or none of this host."""
    _refuse_one_elsewhere(endpoint())
    try:
        ping(endpoint())  # the client would leave a socket open when nobody is there
        client = docker.from_env(timeout=_ANSWER_TIMEOUT_S)
    except (DockerException, requests.RequestException, HTTPException, OSError) as exc:
        raise InputError(
            "no container engine answers",
            evidence=f"{endpoint()}: {_short(exc)}",
            cause="it does not run, listens elsewhere, or this user may not speak to it",
            remedy="start it, or name its socket: export DOCKER_HOST=unix:///path/to/docker.sock (Podman's works too); "
            "`--runtime process` needs none",
        ) from exc
    with translated("the container engine"):
        try:
            yield client
        finally:
            with suppress(Exception):  # what it holds open is the operating system's to close
                client.close()


def _refuse_one_elsewhere(address: str) -> None:
    scheme, tls = urlsplit(address).scheme, [name for name in _TLS if os.environ.get(name)]
    if scheme == "unix" or (scheme in {"tcp", "http"} and Address.of(address).is_loopback and not tls):
        return
    raise InputError(
        "containers are started by an engine of this host only, and not over TLS or SSH",
        evidence=f"DOCKER_HOST is {address}" + "".join(f", {name} is set" for name in tls),
        cause="ports are published on the engine's own 127.0.0.1, which the lab reaches on this host alone; and the "
        "watchdog, which removes what a killed lab leaves behind, speaks neither",
        remedy="name the socket of an engine here: export DOCKER_HOST=unix:///path/to/docker.sock; or start the target "
        "where it is, and use `--runtime external`",
    )


@contextmanager
def translated(what: str) -> Iterator[None]:
    """What the engine refuses, or that it is gone, as a TargetError about `what`."""
    try:
        yield
    except APIError as exc:
        said = str(exc.explanation or exc)
        raise TargetError(
            f"{what}: the container engine refused", evidence=said[:2000], cause="", remedy=_remedy(said)
        ) from exc
    except (DockerException, requests.RequestException) as exc:
        raise TargetError(
            f"{what}: the container engine does not answer any more",
            evidence=f"{endpoint()}: {_short(exc)}",
            cause="it was stopped, or is overloaded",
            remedy="see its log (`journalctl -u docker`), start it again, and run again",
        ) from exc


def image_of(client: docker.DockerClient, name: str) -> Mapping[str, Any]:
    """What is known of an image that is here. Nothing is fetched: a download is no part of a measurement.

    Raises InputError when it is not here.
    """
    try:
        found: Mapping[str, Any] = client.images.get(name).attrs
    except ImageNotFound as exc:
        build = name.partition(":")[0] == OURS
        raise InputError(
            f"the image {name} is not here",
            evidence=str(exc.explanation or exc),
            cause="it was not built yet" if build else "it was neither built nor pulled on this engine",
            remedy="build it: make images" if build else f"docker pull {name}",
        ) from exc
    return found


def _short(exc: Exception) -> str:
    text = str(exc)
    return f"{type(exc).__name__}: {text}"[:500]


def _remedy(said: str) -> str:
    known = {
        "cpuset": "the engine runs on other cores than the lab: leave [limits] cpus out, or run both on one machine",
        "gpu": "install the NVIDIA container toolkit, or use `--device cpu`",
        "swap": "the kernel cannot limit memory: see `docker info`",
        "executable file not found": "correct [container] command: it follows the image's entry point",
    }
    return next((remedy for word, remedy in known.items() if word in said.lower()), "correct [container] in its file")
