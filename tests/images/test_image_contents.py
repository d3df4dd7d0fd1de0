"""What is in the servers' image, what is not, and how much that adds to its base."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import docker
import pytest

import build_images

if TYPE_CHECKING:
    from tests.images.conftest import Start

pytestmark = [pytest.mark.containers, pytest.mark.real, pytest.mark.timeout(300)]

MOST_ADDED_BYTES = 250_000_000
COMMANDS = "pip pip3 gcc cc c++ g++ make ld as strip git"
PACKAGES = "pip setuptools ensurepip wheel pkg_resources"
LOOKING = """
import importlib.util, os, shutil, sys
commands, packages = sys.argv[1].split(), sys.argv[2].split()
print(*(shutil.which(one) for one in commands if shutil.which(one)))
print(*(one for one in packages if importlib.util.find_spec(one)))
for folder, folders, files in os.walk("/"):
    if folder == "/":
        folders[:] = set(folders) - {"proc", "sys"}
    if os.path.basename(folder) in packages and "__init__.py" in files:
        print(folder)
"""


def test_it_adds_less_to_its_base_than_it_may(container_engine: docker.DockerClient, servers_image: str) -> None:
    image = container_engine.images.get(servers_image)
    base = container_engine.images.get(image.labels[build_images.BASE_LABEL])
    assert 0 < image.attrs["Size"] - base.attrs["Size"] < MOST_ADDED_BYTES


def test_its_size_is_told_layer_by_layer(servers_image: str) -> None:
    first, added, *layers = build_images.describe(build_images.CPU)
    total = float(added.split()[-2])
    assert first.startswith(f"{servers_image}  ")
    assert sum(float(line.split()[0]) for line in layers) == pytest.approx(total, abs=0.1 * len(layers))


def test_it_says_what_it_is_and_what_it_was_made_of(container_engine: docker.DockerClient, servers_image: str) -> None:
    labels = container_engine.images.get(servers_image).labels
    for name in ("title", "description", "licenses", "base.name", "revision"):
        assert labels[f"org.opencontainers.image.{name}"]
    assert labels[build_images.SOURCES_LABEL] == build_images.sources(build_images.CPU)
    assert build_images.is_current(build_images.CPU)


@pytest.mark.parametrize("python", ["/opt/proofload/venv/bin/python", "/usr/local/bin/python3"])
def test_nothing_that_builds_or_installs_is_in_it(start: Start, python: str) -> None:
    with start("fastapi_app") as started:
        assert started.reading(python, "-c", LOOKING, COMMANDS, PACKAGES).split() == []


def test_exactly_what_counts_for_its_digest_is_in_it(start: Start, checkout: Path) -> None:
    """So that no change is missed, and .dockerignore, the Dockerfile and build_images.py say the same."""
    copied = {"fixtures/build": "fixtures", "reference_servers/proofload_servers": "servers/proofload_servers"}
    wanted = {
        f"/opt/proofload/{place}/{path.relative_to(checkout / folder)}"
        for path in build_images.inputs(build_images.CPU)
        for folder, place in copied.items()
        if path.is_relative_to(checkout / folder)
    }
    with start("fastapi_app") as started:
        found = started.reading("find", "/opt/proofload/servers", "/opt/proofload/fixtures", "-type", "f").split()
    assert {name for name in found if not name.endswith(".pyc")} == wanted


def test_what_the_servers_import_is_there_as_bytecode(start: Start) -> None:
    """Below a read-only root it could not be written later, and each start would compile everything anew."""
    code = (
        "import proofload_servers.flask_app.server, proofload_servers.fastapi_app.server, sys, os\n"
        "import proofload_servers.grpc_service.server, proofload_servers.kafka_worker.worker\n"
        "named = [getattr(one, '__cached__', None) for one in list(sys.modules.values())]\n"
        "print(*(name for name in named if name and not os.path.exists(name)))\n"
    )
    with start("fastapi_app") as started:
        assert started.reading("python", "-c", code).split() == []
