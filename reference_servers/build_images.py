"""Builds the images of the reference servers and says how large they are: `make images`, or `make images GPU=1`.

An image carries, as a label, the digest of what it was built from; one that is up to date is not built again. The
environment may name the program that builds, DOCKER (docker), and flags for it, DOCKER_BUILD_FLAGS, such as
`--network host` where a build reaches the package index only through the host's own network.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES_LABEL = "io.proofload.sources"
BASE_LABEL = "org.opencontainers.image.base.name"
REVISION_LABEL = "org.opencontainers.image.revision"
INPUTS = (
    ".dockerignore",
    "reference_servers/*.txt",
    "reference_servers/slim_environment.py",
    "reference_servers/proofload_servers/**/*",
    "fixtures/build/*/*",
)
"""What the Dockerfiles copy, and what decides on it."""
LEFT_OUT = ("__pycache__", "/.", ".jsonl", "build.json", "/batch/", "/resnet50-int8/")
"""Of these, what .dockerignore keeps back."""


@dataclass(frozen=True, slots=True)
class Image:
    tag: str
    dockerfile: str


CPU = Image("proofload-servers:cpu", "reference_servers/Dockerfile")
GPU = Image("proofload-servers:gpu", "reference_servers/Dockerfile.gpu")


def inputs(image: Image) -> Iterator[Path]:
    """The files that the image is made of, in a fixed order."""
    found = {path for pattern in INPUTS for path in ROOT.glob(pattern) if path.is_file()}
    kept = {path for path in found if not any(mark in str(path.relative_to(ROOT)) for mark in LEFT_OUT)}
    return iter(sorted({*kept, ROOT / image.dockerfile}))


def flags() -> list[str]:
    return shlex.split(os.environ.get("DOCKER_BUILD_FLAGS", ""))


def arguments_given() -> list[str]:
    """What the flags say in place of the Dockerfile's own arguments: another base, for example."""
    reader = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    reader.add_argument("--build-arg", action="append", default=[])
    given: list[str] = reader.parse_known_args(flags())[0].build_arg
    return given


def sources(image: Image) -> str:
    """The digest of everything that goes into the image; of its base, the name."""
    digest = hashlib.sha256()
    for argument in arguments_given():
        digest.update(f"{argument}\0".encode())
    for path in inputs(image):
        digest.update(f"{path.relative_to(ROOT)}\0".encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def docker(*words: str) -> str:
    """The output of a command; "" where it ends with an error, as it does for an image that is not there."""
    command = [os.environ.get("DOCKER", "docker"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def label(tag: str, name: str) -> str:
    return docker("image", "inspect", "--format", f'{{{{index .Config.Labels "{name}"}}}}', tag)


def is_current(image: Image) -> bool:
    return label(image.tag, SOURCES_LABEL) == sources(image)


def build(image: Image) -> None:
    """Raises CalledProcessError; what went wrong is on standard error by then."""
    revision = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    ).stdout.strip()
    labels = {SOURCES_LABEL: sources(image), REVISION_LABEL: revision or "unknown"}
    command = [os.environ.get("DOCKER", "docker"), "build", "--file", str(ROOT / image.dockerfile), "--tag", image.tag]
    command += [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
    command += [*flags(), str(ROOT)]
    subprocess.run(command, check=True)


def layers(tag: str) -> list[tuple[int, str]]:
    """(bytes, what made it) of each, the base's first."""
    lines = docker("history", "--no-trunc", "--human=false", "--format", "{{json .}}", tag).splitlines()
    found = [json.loads(line) for line in lines]
    return [(int(one["Size"]), str(one["CreatedBy"])) for one in reversed(found)]


def size(tag: str) -> int:
    return int(docker("image", "inspect", "--format", "{{.Size}}", tag) or 0)


def describe(image: Image) -> Iterator[str]:
    """The image's size, what it adds to its base, and by which layers."""
    base = label(image.tag, BASE_LABEL)
    yield f"{image.tag}  {size(image.tag) / 1e6:,.1f} MB"
    if not size(base):  # BuildKit keeps bases to itself
        yield f"  what that adds to {base} can be told once it is here: docker pull {base}"
        return
    yield f"  added to {base}: {(size(image.tag) - size(base)) / 1e6:,.1f} MB"
    for taken, made_by in layers(image.tag)[len(layers(base)) :]:
        if taken:
            yield f"  {taken / 1e6:10,.1f} MB  {_short(made_by)}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Builds the images of the reference servers.")
    parser.add_argument("--gpu", action="store_true", help="the one for GPUs, too")
    wanted = [CPU, GPU] if parser.parse_args(arguments).gpu else [CPU]
    if not docker("version", "--format", "{{.Server.Version}}"):
        sys.stderr.write(
            "error: no container engine answers\n"
            "next: start Docker, or say where it is (DOCKER_HOST) or what else builds images (DOCKER=podman)\n"
        )
        return 2
    for image in wanted:
        if is_current(image):
            print(f"{image.tag} is up to date")
        else:
            try:
                build(image)
            except subprocess.CalledProcessError as error:
                sys.stderr.write(
                    f"error: {image.tag} could not be built (exit {error.returncode}; the reason stands above)\n"
                    "next: where only the host's network reaches the package index, "
                    "make images DOCKER_BUILD_FLAGS='--network host'\n"
                )
                return 2
        print("\n".join(describe(image)))
    return 0


def _short(made_by: str) -> str:
    """The instruction without the shell, the build's arguments and the digests of what was copied."""
    text = " ".join(re.sub(r"#\(nop\)|\b(dir|file|multi):[0-9a-f]{64} in ", " ", made_by).split())
    for shell in ("/bin/sh -c ", "/bin/bash -c "):
        text = text.partition(shell)[2] or text
    return text[:90]


if __name__ == "__main__":
    sys.exit(main())
