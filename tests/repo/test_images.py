"""The Dockerfiles and what stands beside them, without a container engine."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.repo.test_repository import imported, tracked

import build_images

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "reference_servers"
SERVERS = FOLDER / "proofload_servers"
DOCKERFILES = sorted(path for path in tracked() if path.name.startswith("Dockerfile"))
CPU, GPU = FOLDER / "Dockerfile", FOLDER / "Dockerfile.gpu"
FOUND_BY_NAME = ("uvloop", "httptools", "redis", "protobuf")
"""What servers use without an import statement that a reader of them would find."""


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def pins(path: Path) -> dict[str, str]:
    """Distribution: version, from a requirements file without what it includes."""
    lines = path.read_text(encoding="utf-8").splitlines()
    wanted = [Requirement(line) for line in lines if line and not line.startswith(("#", "-r "))]
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in wanted}


def instructions(path: Path) -> list[str]:
    """The lines of a Dockerfile, continuations joined, comments left out."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return [line for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line]


def bases(path: Path) -> Iterator[str]:
    """The images that a Dockerfile starts from, its arguments filled in, its own stages left out."""
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", "\n".join(instructions(path)), re.MULTILINE))
    stages = set()
    for line in instructions(path):
        if found := re.match(r"FROM (?:--\S+ )?(\S+)(?: AS (\S+))?$", line):
            image = re.sub(r"\$\{(\w+)\}", lambda one: arguments[one[1]], found[1])
            if image not in stages:
                yield image
            stages.add(found[2])


def needed(distributions: set[str]) -> set[str]:
    """These and all that they require here."""
    found: set[str] = set()
    waiting: set[str] = {canonicalize_name(one) for one in distributions}
    while waiting:
        name = waiting.pop()
        found.add(name)
        for line in metadata.requires(name) or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.update({str(canonicalize_name(requirement.name))} - found)
    return found


@pytest.mark.parametrize("path", DOCKERFILES, ids=named)
def test_every_base_image_has_a_public_name_and_a_tag_that_stays(path: Path) -> None:
    found = list(bases(path))
    assert found
    for image in found:
        name, _, tag = image.partition(":")
        assert "." not in name.partition("/")[0], f"{image} names a registry"
        assert re.search(r"\d", tag), f"{image} is not pinned"


@pytest.mark.parametrize("path", DOCKERFILES, ids=named)
def test_it_needs_no_buildkit(path: Path) -> None:
    text = "\n".join(instructions(path))
    assert not re.search(r"^RUN --|--chmod|--link|<<\w|^# syntax=", text, re.MULTILINE)


def test_the_pins_of_the_images_are_those_of_the_checkout() -> None:
    checkout = pins(ROOT / "requirements.txt")
    common = pins(FOLDER / "requirements.txt")
    assert {name: checkout.get(name) for name in common} == common
    assert pins(FOLDER / "requirements-cpu.txt") == {"onnxruntime": checkout["onnxruntime"]}
    assert pins(FOLDER / "requirements-gpu.txt") == {"onnxruntime-gpu": checkout["onnxruntime"]}


def test_the_images_hold_what_the_servers_import_and_nothing_else() -> None:
    unserved = {SERVERS / "grpc_service" / "generate.py", *(SERVERS / "batch").rglob("*.py")}
    names = {name for path in SERVERS.rglob("*.py") if path not in unserved for name in imported(path)}
    providers = metadata.packages_distributions()
    third_party = names - set(sys.stdlib_module_names) - {"proofload_servers", "google"}
    roots = {distribution for name in third_party for distribution in providers[name]} | set(FOUND_BY_NAME)
    listed = pins(FOLDER / "requirements.txt") | pins(FOLDER / "requirements-cpu.txt")
    assert set(listed) - {"async-timeout"} == needed(roots) - {"async-timeout"}  # that one depends on the Python


@pytest.mark.parametrize("path", [CPU, GPU], ids=named)
def test_a_build_imports_every_server_that_is_to_run_in_it(path: Path) -> None:
    """Which tries that what was taken out of the environment is not needed, and leaves the bytecode."""
    (line,) = (line for line in instructions(path) if line.startswith("RUN python -c"))
    for file in SERVERS.glob("*/target.toml"):
        if container := tomllib.loads(file.read_text(encoding="utf-8")).get("container"):
            assert f" {container['command'][0]}." in line, named(file)


def test_the_two_images_differ_in_their_runtime_alone() -> None:
    """Users, places, health checks, commands: what works with one works with the other."""
    words = ("COPY --from", "USER", "WORKDIR", "EXPOSE", "ENTRYPOINT", "CMD", "RUN python -c")
    cpu, gpu = ([line for line in instructions(path) if line.startswith(words)] for path in (CPU, GPU))
    assert cpu == gpu
    (own,), (other,) = ([line for line in instructions(path) if line.startswith("ENV PATH")] for path in (CPU, GPU))
    assert set(own.split()) - set(other.split()) == {"PROOFLOAD_MODEL=fraud"}  # no part of which a GPU computes


def test_the_gpu_image_says_that_it_is_unverified() -> None:
    assert "UNVERIFIED" in GPU.read_text(encoding="utf-8")
    assert "unverified" in (ROOT / "docs" / "images.md").read_text(encoding="utf-8")


def test_a_changed_source_changes_the_digest_and_a_payload_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_images, "ROOT", tmp_path)
    places = ("reference_servers/proofload_servers/a/b.py", "reference_servers/requirements.txt")
    models = ("fixtures/build/m/model.onnx", "fixtures/build/m/payloads.jsonl", "fixtures/build/.half/model.onnx")
    for place in (build_images.CPU.dockerfile, *places, *models):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text("before", encoding="utf-8")
    before = build_images.sources(build_images.CPU)
    seen = {}
    for place in (build_images.CPU.dockerfile, *places, *models):
        (tmp_path / place).write_text("after", encoding="utf-8")
        seen[place] = build_images.sources(build_images.CPU) != before
        (tmp_path / place).write_text("before", encoding="utf-8")
    assert [place for place, changed in seen.items() if not changed] == list(models[1:])


def test_an_image_of_another_base_is_another_and_how_the_network_is_reached_is_no_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def with_flags(flags: str) -> str:
        monkeypatch.setenv("DOCKER_BUILD_FLAGS", flags)
        return build_images.sources(build_images.CPU)

    plain, other = with_flags(""), with_flags("--network host --build-arg PYTHON_IMAGE=python:3.12-slim-bookworm")
    assert other != plain
    assert with_flags("--build-arg=PYTHON_IMAGE=python:3.12-slim-bookworm --pull") == other
    assert with_flags("--network host --pull") == plain


def test_hadolint_has_nothing_against_the_dockerfiles(required_program: Callable[..., str]) -> None:
    hadolint = required_program(str(Path(sys.executable).parent / "hadolint"), "hadolint")
    done = subprocess.run([hadolint, *DOCKERFILES], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
