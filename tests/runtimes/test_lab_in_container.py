"""A lab that is itself in a container, and is killed with it."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlsplit

import docker
import pytest

from proofload._container_sweep import LABEL
from proofload.runtimes._container_engine import endpoint
from proofload.runtimes._container_launch import TARGET_LABEL
from proofload.runtimes._container_reaper import REAPER_LABEL
from proofload.store.record import RunRecord
from proofload.testing.eventually import eventually
from proofload.testing.runtime_kit import STUB

pytestmark = [pytest.mark.real, pytest.mark.containers]
IMAGE = "python:3.11-slim-bookworm"
ROOT = Path(__file__).resolve().parents[2]
TARGET = """
name = "in-a-sibling"
transport = "http"
url = "http://127.0.0.1:{{port}}/predict"
payloads = "payloads.jsonl"
[health]
ready = "/ready"
[container]
image = "{image}"
command = ["python3", "/stub.py", "{{port}}"]
env = {{ STUB_ADDRESS = "0.0.0.0" }}
volumes = {{ "/stub.py" = "{stub}:ro" }}
"""


@pytest.fixture
def lab(container_engine: docker.DockerClient, tmp_path: Path) -> docker.models.containers.Container:
    """This interpreter and this checkout, in a container that may speak to the engine."""
    if urlsplit(endpoint()).scheme != "unix":
        pytest.skip("the engine has no socket that a container could be given")
    (tmp_path / "sibling.target.toml").write_text(TARGET.format(image=IMAGE, stub=STUB))
    (tmp_path / "payloads.jsonl").write_text('{"body": {"value": 2}, "expect": 4}\n')
    socket = urlsplit(endpoint()).path
    folders = dict.fromkeys([str(ROOT), sys.prefix, sys.base_prefix, str(tmp_path), socket])
    options = ["--set", "duration_s=60", "--set", "rate_rps=50", "--runtime", "container", "--out", f"{tmp_path}/run"]
    container = container_engine.containers.create(
        IMAGE,
        ["-m", "proofload", "run", "load", "--target", f"{tmp_path}/sibling.target.toml", *options],
        entrypoint=sys.executable,
        volumes=[f"{folder}:{folder}" for folder in folders],
        environment={"DOCKER_HOST": endpoint(), "PYTHONDONTWRITEBYTECODE": "1"},
        network_mode="host",
        working_dir=str(tmp_path),
    )
    yield container
    container.remove(force=True)


def test_killing_its_container_leaves_nothing_running_and_no_sample_unaccounted_for(
    lab: docker.models.containers.Container, container_engine: docker.DockerClient, tmp_path: Path
) -> None:
    def there() -> list[docker.models.containers.Container]:
        """Its target's, and its reaper's: other tests may have theirs up meanwhile."""
        siblings = list_of(f"{TARGET_LABEL}=in-a-sibling")
        return [*siblings, *(one for one in list_of(REAPER_LABEL) if lab.id in one.attrs["Config"]["Cmd"])]

    def list_of(label: str) -> list[docker.models.containers.Container]:
        return list(container_engine.containers.list(all=True, ignore_removed=True, filters={"label": label}))

    assert there() == []
    lab.start()
    assert eventually(lambda: any((tmp_path / "run" / "samples").glob("*.parquet"))), lab.logs().decode()
    assert len(there()) == 2
    assert all(one.labels.get(LABEL) or one.labels.get(REAPER_LABEL) for one in there())
    lab.kill()
    assert eventually(lambda: there() == [], every_s=0.1), [one.attrs["Name"] for one in there()]
    record = RunRecord(tmp_path / "run")
    [phase] = record.phases
    assert not record.complete
    assert len(record.samples(phase.index)) == phase.planned > 0
