"""What every test may ask for."""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest


def pytest_configure() -> None:
    """What tests start is no worker of this pytest, though this process may be one."""
    os.environ.pop("PYTEST_XDIST_WORKER", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that start servers, which mostly wait, are spread evenly among those that compute, so that several workers
    have something of both all the time; they are through a little before the others, so that none is waited for alone.
    """
    files = list(dict.fromkeys(item.path for item in items))
    waiting = list(dict.fromkeys(item.path for item in items if item.get_closest_marker("real")))
    computing = [path for path in files if path not in set(waiting)]
    place = {path: (number + 0.5) / len(computing) for number, path in enumerate(computing)}
    place |= {path: 0.9 * (number + 0.5) / len(waiting) for number, path in enumerate(waiting)}
    items.sort(key=lambda item: place[item.path])


REQUIRE_ALL = "PROOFLOAD_REQUIRE_ALL"
"""Set where every program is expected (in .ci/run): a missing one is a failure there, not a skip."""


@pytest.fixture(scope="session")
def required_program() -> Callable[..., str]:
    """`required_program("chromium", "google-chrome")`: the path of the first that is installed.

    Where none is, the test is skipped, or fails if PROOFLOAD_REQUIRE_ALL is set.
    """

    def find(*names: str) -> str:
        for name in names:
            if found := shutil.which(name):
                return found
        reason = f"not installed: {' or '.join(names)}"
        if os.environ.get(REQUIRE_ALL):
            pytest.fail(f"{reason}, and {REQUIRE_ALL} is set")
        pytest.skip(reason)

    return find


@pytest.fixture(scope="session")
def container_engine() -> Iterator[docker.DockerClient]:
    """A client of the container engine that the environment names (DOCKER_HOST; else its usual socket).

    Where none answers, the test is skipped, or fails if PROOFLOAD_REQUIRE_ALL is set.
    """
    if problem := _engine_problem():
        reason = f"no container engine answers at {os.environ.get('DOCKER_HOST', 'its usual socket')}: {problem}"
        if os.environ.get(REQUIRE_ALL):
            pytest.fail(f"{reason}, and {REQUIRE_ALL} is set")
        pytest.skip(reason)
    client = docker.from_env(timeout=60)
    yield client
    client.close()


@pytest.fixture(scope="session")
def servers_image(container_engine: docker.DockerClient, required_program: Callable[..., str], checkout: Path) -> str:
    """The tag of the reference servers' image, built from this checkout; built now unless it is up to date."""
    required_program("docker")
    program = checkout / "reference_servers" / "build_images.py"
    with program.open(encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several workers one builds, and the others find it built
        done = subprocess.run([sys.executable, program], cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr}"
    return "proofload-servers:cpu"


def _engine_problem() -> str:
    """Why no engine answers; empty where one does."""
    problem = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # docker's client forgets the socket that did not connect
        try:
            docker.from_env(timeout=60).close()
        except docker.errors.DockerException as error:
            problem = str(error)
        gc.collect()
    return problem


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of this checkout."""
    return Path(__file__).resolve().parents[1]
