"""A second reader adds a transport, an arrival process, a probe, a report format and a serving option.

Each is one new file or folder (tests/extensions/). They are put in place in both documented ways: dropped into
a checkout, and installed as a distribution of its own with entry points. Nothing that exists is edited.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from proofload.runtimes._ports import free_ports
from proofload.testing.probe_kit import CLAIMS, ProbeCase, claim_name
from proofload.testing.transport_kit import Behaviour, Check, TransportKit, checks_for
from proofload.transports import TransportSpec
from proofload.workloads.arrivals import ArrivalSpec

EXTENSIONS = Path(__file__).resolve().parent / "extensions"
HOMES = {
    "line": "transports",
    "pairs": "workloads/arrivals",
    "context_switches": "probes",
    "tsv": "report/formats",
}
"""Each new file, and the folder of the package that it belongs into."""
SERVER = "line_app"
FLAGS = "--set arrival=pairs --set rate_rps=100 --set duration_s=2 --set warmup_s=0 --out measured --json -"


@dataclass(frozen=True, slots=True)
class Place:
    """Where proofload runs with the extensions in reach: what to import it from, and the working directory."""

    paths: tuple[Path, ...]
    working: Path
    target: str
    """What `--target` names the serving option by."""

    def proofload(self, words: str) -> subprocess.CompletedProcess[str]:
        paths = os.pathsep.join(str(path) for path in self.paths)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PROOFLOAD_")}
        return subprocess.run(
            [sys.executable, "-m", "proofload", *words.split()],
            cwd=self.working,
            env={**kept, "PYTHONPATH": paths},
            check=False,
            capture_output=True,
            text=True,
            timeout=100,
        )


@pytest.fixture
def dropped_in(tmp_path: Path, checkout: Path) -> Place:
    """A checkout with five things more, each where its kind lives."""
    root = tmp_path / "checkout"
    without_caches = shutil.ignore_patterns("__pycache__")
    for folder in ("harness", "reference_servers", "scenarios"):
        shutil.copytree(checkout / folder, root / folder, ignore=without_caches)
    shutil.copy(checkout / "pyproject.toml", root)
    for name, home in HOMES.items():
        shutil.copy(EXTENSIONS / f"{name}.py", root / "harness" / "proofload" / home)
    shutil.copytree(EXTENSIONS / SERVER, root / "reference_servers" / "proofload_servers" / SERVER)
    (tmp_path / "elsewhere").mkdir()
    return Place((root / "harness", root / "reference_servers"), tmp_path / "elsewhere", "line")


@pytest.fixture
def as_a_distribution(tmp_path: Path) -> Place:
    """An installed distribution whose entry points name the modules; the serving option is a folder at hand."""
    site = tmp_path / "site"
    info = site / "line_for_proofload-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: line-for-proofload\nVersion: 1.0\n", encoding="utf-8")
    lines = []
    for name, home in HOMES.items():
        shutil.copy(EXTENSIONS / f"{name}.py", site / f"{name}_for_proofload.py")
        lines += [f"[proofload.{home.replace('/', '.')}]", f"{name.replace('_', '-')} = {name}_for_proofload"]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    shutil.copytree(EXTENSIONS / SERVER, tmp_path / "elsewhere" / SERVER)
    return Place((site,), tmp_path / "elsewhere", SERVER)


@pytest.fixture(params=["dropped_in", "as_a_distribution"])
def place(request: pytest.FixtureRequest) -> Place:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Place)
    return found


@pytest.mark.real
def test_a_load_runs_through_all_five(place: Place) -> None:
    run = place.proofload(f"run load --target {place.target} {FLAGS}")
    assert run.returncode in {0, 1, 3}, run.stderr
    result = json.loads(run.stdout)
    assert (result["target"]["name"], result["target"]["transport"]) == ("line", "line")
    outcomes = result["phases"][0]["outcomes"]
    assert (outcomes["ok"], sum(outcomes.values())) == (200, 200), "every answer checked: the sums are right"
    folder = place.working / "measured"
    due = pq.read_table(folder / "samples")["intended_ns"].to_numpy()
    assert np.array_equal(due[::2], due[1::2]), "requests are due in pairs"
    readings = pq.read_table(folder / "probes")
    assert "voluntary_switches" in readings["name"].to_pylist()
    report = place.proofload("report measured --format tsv")
    assert report.returncode == 0, report.stderr
    assert (folder / "report.tsv").read_text(encoding="utf-8").splitlines()[1].endswith("\t200")


def test_doctor_and_the_listing_know_them(dropped_in: Place) -> None:
    assert "line\tSums over lines of JSON" in dropped_in.proofload("targets").stdout
    told = " ".join(dropped_in.proofload("doctor").stdout.split())
    for name in ("line", "pairs", "context-switches", "tsv"):
        assert name in told


@pytest.mark.real
def test_a_bare_url_finds_the_transport_by_its_scheme(as_a_distribution: Place) -> None:
    port, server = started_server()
    with server:
        try:
            payloads = EXTENSIONS / SERVER / "payloads.jsonl"
            run = as_a_distribution.proofload(
                f"run load --target line://127.0.0.1:{port} --payloads {payloads} {FLAGS}"
            )
        finally:
            server.terminate()
    assert run.returncode in {0, 1, 3}, run.stderr
    assert json.loads(run.stdout)["phases"][0]["outcomes"]["ok"] == 200


def test_the_core_names_none_of_them(checkout: Path) -> None:
    theirs = re.compile(r"line://|context_switches|arrivals?\W+pairs\b|formats?\W+tsv\b")
    named = [
        str(source.relative_to(checkout))
        for source in (checkout / "harness").rglob("*.py")
        if theirs.search(source.read_text(encoding="utf-8"))
    ]
    assert named == []


# What ships with the protocols for their authors: the conformance kits.


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_on_trial", EXTENSIONS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def started_server() -> tuple[int, subprocess.Popen[bytes]]:
    """The serving option on a port of its own, accepting connections."""
    port = free_ports([SERVER])[SERVER]
    server = subprocess.Popen([sys.executable, EXTENSIONS / SERVER / "__main__.py", "--port", str(port)])
    while True:
        assert server.poll() is None, "the server ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return port, server


@asynccontextmanager
async def line_peer(behaviour: Behaviour) -> AsyncIterator[TransportSpec]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while behaviour is not Behaviour.CLOSES and (line := await reader.readline()):
            match behaviour:
                case Behaviour.ANSWERS:
                    writer.write(b"OK " + line)
                case Behaviour.SHEDS:
                    writer.write(b"BUSY\n")
                case Behaviour.GARBAGE:
                    writer.write(b"\x00\x01\x02\n")
                case Behaviour.DIES:
                    writer.transport.abort()
                case _:
                    pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if behaviour is Behaviour.REFUSES:
        server.close()
    bodies = [json.dumps({"n": number}).encode() for number in range(40)]
    try:
        yield TransportSpec(name="line", url=f"line://127.0.0.1:{port}", bodies=bodies, connections=8)
    finally:
        server.close()


def line_kit() -> TransportKit:
    peer: Callable[[Behaviour], AbstractAsyncContextManager[TransportSpec]] = line_peer
    return TransportKit("line", loaded("line").create, peer, lambda decoded, payload: decoded == {"n": payload})


@pytest.mark.real
@pytest.mark.parametrize("check", checks_for(line_kit()), ids=lambda check: check.__name__)
def test_the_new_transport_conforms(check: Check) -> None:
    async def conform() -> None:
        await check(line_kit())

    asyncio.run(conform())


@pytest.fixture(scope="module")
def probe_case() -> Iterator[ProbeCase]:
    with ProbeCase.standing(loaded("context_switches").create) as case:
        yield case


@pytest.mark.real
@pytest.mark.parametrize("claim", CLAIMS, ids=claim_name)
def test_the_new_probe_conforms(claim: Callable[[ProbeCase], None], probe_case: ProbeCase) -> None:
    claim(probe_case)


def test_the_new_arrival_process_keeps_its_rate_over_many_blocks() -> None:
    spec = ArrivalSpec("pairs", rate_rps=1000.0, duration_s=20.0)
    blocks: list[Any] = list(loaded("pairs").create(spec))
    due = np.concatenate(blocks)
    assert len(blocks) > 1
    assert len(due) == 20_000
    assert np.all(np.diff(due) >= 0)
    assert due[-1] < 20e9
