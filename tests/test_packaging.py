"""The wheel: what is in it, and that an installed proofload does what a checkout does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from proofload.testing.runtime_kit import running_stub

MOST_BYTES = 2_000_000
Installed = Callable[[Sequence[str]], subprocess.CompletedProcess[str]]


def tracked(checkout: Path, *folders: str) -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *folders],
        cwd=checkout, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return {name for name in listed.stdout.split("\0") if name and (checkout / name).is_file()}


def build(checkout: Path, into: Path, version: str = "standard") -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", f"wheel:{version}", "-d", str(into)],
        cwd=checkout, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = into.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(checkout, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the wheel's contents as an installer lays them."""
    folder = tmp_path_factory.mktemp("installed") / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(folder), str(wheel)], check=True, capture_output=True)
    return folder


@pytest.fixture
def installed(site: Path, tmp_path: Path) -> Installed:
    """Runs Python in an empty folder far from the checkout, with the wheel's packages before all others."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PROOFLOAD_", "PYTHON"))}
    # -S, and the libraries named one by one: the checkout's editable install stays out.
    paths = os.pathsep.join([str(site), sysconfig.get_path("purelib")])
    environment = {
        **kept,
        "PYTHONPATH": paths,
        "PROOFLOAD_FIXTURES": str(tmp_path / "models"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }

    def run(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-S", *arguments],
            cwd=elsewhere, env=environment, check=False, capture_output=True, text=True, timeout=100,
        )  # fmt: skip

    return run


def test_the_wheel_holds_both_packages_and_all_their_data(contents: set[str], checkout: Path) -> None:
    places = {
        "harness/": "",
        "reference_servers/proofload_servers/": "proofload_servers/",
        "scenarios/": "proofload/data/scenarios/",
        "fixtures/": "proofload/data/fixtures/",
    }
    wanted = {inside + name.removeprefix(root) for root, inside in places.items() for name in tracked(checkout, root)}
    assert wanted
    assert wanted <= contents
    assert {"proofload/py.typed", "proofload_servers/grpc_service/target.toml"} <= contents


def test_it_holds_nothing_that_was_built_and_is_small(contents: set[str], wheel: Path) -> None:
    strange = [
        name for name in contents
        if not name.startswith(("proofload/", "proofload_servers/", "proofload-"))
        or "fixtures/build/" in name or "__pycache__" in name
    ]  # fmt: skip
    assert not strange
    assert wheel.stat().st_size < MOST_BYTES


def test_it_puts_no_top_level_name_in_the_way_of_others(site: Path) -> None:
    names = {path.name for path in site.iterdir() if path.suffix != ".dist-info"}
    assert names == {"bin", "proofload", "proofload_servers"}


def test_an_editable_install_points_at_both_source_roots(checkout: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(build(checkout, tmp_path, "editable")) as archive:
        (paths,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith(".pth"))
    assert paths.split() == [str(checkout / "harness"), str(checkout / "reference_servers")]


def test_installed_it_lists_what_the_checkout_lists(installed: Installed, site: Path, checkout: Path) -> None:
    for what in ("scenarios", "targets"):
        there = installed(["-m", "proofload", what])
        assert there.returncode == 0, there.stderr
        rows = [line.split("\t") for line in there.stdout.splitlines()]
        assert rows
        assert all(Path(path).is_relative_to(site) for _, _, path in rows)
        here = subprocess.run(
            [sys.executable, "-m", "proofload", what], cwd=checkout, check=True, capture_output=True, text=True
        )
        listed = [line.split("\t") for line in here.stdout.splitlines()]
        own = {"targets"}  # of the checkout's docker-compose.yml, which the wheel does not have
        assert [row[:2] for row in rows] == [row[:2] for row in listed if Path(row[2]).parent.name not in own]


def test_the_installed_command_answers(installed: Installed, site: Path) -> None:
    answer = installed([str(site / "bin" / "proofload"), "--version"])
    assert (answer.returncode, answer.stdout.split()[0]) == (0, "proofload")


@pytest.mark.real
def test_without_the_servers_extra_a_url_can_be_measured(tmp_path: Path) -> None:
    """The extra is simulated to be missing: its libraries' names lead to modules that fail."""
    for extra in ("onnxruntime", "onnx", "skl2onnx", "sklearn", "flask", "gunicorn", "fastapi", "uvicorn"):
        (tmp_path / f"{extra}.py").write_text(f"raise ImportError('no {extra} here')", encoding="utf-8")
    payloads = tmp_path / "payloads.jsonl"
    payloads.write_text('{"body": {"value": 3}, "expect": 6}\n', encoding="utf-8")
    flags = f"--payloads {payloads} --set rate_rps=50 --set duration_s=1 --json - --out {tmp_path / 'run'}"
    with running_stub() as (port, _):
        words = f"run load --target http://127.0.0.1:{port}/p {flags}".split()
        run = subprocess.run(
            [sys.executable, "-m", "proofload", *words],
            env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=False, capture_output=True, text=True, timeout=100,
        )  # fmt: skip
    assert run.returncode in {0, 1, 3}, run.stderr
    outcomes = json.loads(run.stdout)["phases"][0]["outcomes"]
    assert outcomes["ok"] == sum(outcomes.values()) > 0


@pytest.mark.real
def test_installed_it_builds_a_model_starts_a_server_and_measures_it(installed: Installed, tmp_path: Path) -> None:
    """Everything a run needs comes from the wheel: builder, server, target and scenario files, prices."""
    flags = "--target flask --set target.model=scorer --set rate_rps=40 --set duration_s=2 --json - --out measured"
    run = installed(["-m", "proofload", "run", "load", *flags.split()])
    assert run.returncode in {0, 1, 3}, run.stderr
    result = json.loads(run.stdout)
    assert result["phases"][0]["outcomes"]["ok"] > 0
    assert result["phases"][0]["outcomes"]["wrong"] == 0
    assert (tmp_path / "models" / "scorer" / "payloads.jsonl").is_file()
    assert "USD" in json.dumps(result["cost"])
    assert (tmp_path / "elsewhere" / "measured" / "report.html").is_file()


SERVER = """
import json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def do_POST(self):
        text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"]
        body = json.dumps({"label": "long" if len(text) > 10 else "short"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
TARGET = """
name = "mine"
transport = "http"
url = "http://127.0.0.1:{port}/"
payloads = "payloads.jsonl"
[response]
prediction = "$.label"
[start]
command = ["{python}", "../somebodys_server.py", "{port}"]
"""


@pytest.mark.real
def test_in_an_empty_repository_init_and_pytest_give_a_verdict_on_somebodys_server(
    installed: Installed, tmp_path: Path, site: Path
) -> None:
    repository = tmp_path / "elsewhere"
    begun = installed(["-m", "proofload", "init"])
    assert begun.returncode == 0, begun.stderr
    (repository / "somebodys_server.py").write_text(SERVER, encoding="utf-8")
    (repository / "targets" / "mine.target.toml").write_text(TARGET, encoding="utf-8")
    payloads = '{"body": {"text": "hello"}, "expect": "short"}\n{"body": {"text": "good morning"}, "expect": "long"}\n'
    (repository / "targets" / "payloads.jsonl").write_text(payloads, encoding="utf-8")
    words = "-m pytest scenarios tests --junitxml=junit.xml --proofload-set=duration_s=2 --proofload-set=rate_rps=60"
    run = installed(words.split())
    assert run.returncode in {0, 1, 13}, run.stdout + run.stderr
    document = ET.parse(repository / "junit.xml").getroot()
    cases = as_ci_reads_it(document)
    assert [case.attrib["name"] for case in cases] == ["steady[mine]", "test_it_holds_at_half_as_much_again"]
    for case in cases:
        told = {found.attrib["name"]: found.attrib["value"] for found in case.iter("property")}
        assert told["proofload.status"] in {"pass", "fail", "inconclusive", "invalid"}
        recorded = json.loads((Path(told["proofload.run_folder"]) / "result.json").read_text(encoding="utf-8"))
        outcomes = recorded["phases"][-1]["outcomes"]
        assert outcomes["ok"] > 0
        assert outcomes["wrong"] == 0
        assert recorded["environment"]["proofload"]
    assert (repository / "out").is_dir()


def as_ci_reads_it(root: ET.Element) -> list[ET.Element]:
    """The test cases of a JUnit file whose elements, attributes and counts are those that CI systems rely on."""
    assert root.tag == "testsuites"
    (suite,) = root
    assert suite.tag == "testsuite"
    assert {"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname"} <= set(suite.attrib)
    cases = list(suite)
    ends = {"failure": "failures", "error": "errors", "skipped": "skipped"}
    counted = dict.fromkeys(ends.values(), 0)
    for case in cases:
        assert case.tag == "testcase"
        assert {"classname", "name", "time"} <= set(case.attrib)
        assert float(case.attrib["time"]) > 0
        tags = [child.tag for child in case]
        assert set(tags) <= {"properties", "system-out", "system-err", *ends}
        (*_, ended) = [tag for tag in tags if tag in ends] or [""]
        assert len([tag for tag in tags if tag in ends]) <= 1
        if ended:
            counted[ends[ended]] += 1
            assert case.find(ended).attrib["message"]  # type: ignore[union-attr]
        assert all(set(found.attrib) == {"name", "value"} for found in case.iter("property"))
    assert counted == {name: int(suite.attrib[name]) for name in counted}
    assert int(suite.attrib["tests"]) == len(cases)
    return cases
