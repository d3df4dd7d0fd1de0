"""The repository checks itself: what is tracked, what imports what, what is documented."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from proofload.discovery import implementations
from proofload.scenarios import known_scenarios, load_scenario
from proofload.selftest.real import cases
from proofload.targets import known_targets, load_target
from proofload_servers.faults._found import all_faults

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "harness" / "proofload"
SERVERS = ROOT / "reference_servers" / "proofload_servers"
SOURCES = sorted([*LIBRARY.rglob("*.py"), *SERVERS.rglob("*.py")])
MOST_LINES = 400
BROUGHT_ALONG = {"markupsafe": "jinja2", "werkzeug": "flask", "starlette": "fastapi"}
"""Part of the interface of a library that is declared, which brings it."""
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def tracked() -> Iterator[Path]:
    """What is in git, and what would be at the next `git add`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return (ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())


def is_generated(path: Path) -> bool:
    return "_pb2" in path.name


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(path: Path) -> set[str]:
    """Top-level names that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found


# What is tracked.


def test_no_tracked_file_names_a_machine_a_registry_or_a_lock_file() -> None:
    """Nor a path into a home folder. The words are put together here so that this file does not name them."""
    hosts = ["py" + "pi.org", "python" + "hosted.org", "--index" + "-url", "--extra-index" + "-url"]
    paths = ["/ro" + "ot/", "/ho" + "me/", "/Us" + "ers/", "/wo" + "rk/"]
    wrong = re.compile("|".join(re.escape(word) for word in [*hosts, *paths]))
    found = []
    for path in tracked():
        assert path.name != "uv" + ".lock"
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{named(path)}: {match[0]}" for match in wrong.finditer(text)]
    assert not found, "\n".join(found)


def test_no_tracked_file_is_large() -> None:
    large = [named(path) for path in tracked() if path.stat().st_size > 500_000 and path.parts[-2] != "reports"]
    assert large == []


def test_the_pins_cover_every_dependency_and_satisfy_it() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    versions = {canonicalize_name(name): version for name, version in pins.items()}
    project = PROJECT["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["servers"]]
    wanted += PROJECT["build-system"]["requires"]
    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        assert name in versions, f"{requirement.name} is not pinned"
        assert requirement.specifier.contains(versions[name], prereleases=True), (str(requirement), versions[name])


def test_the_oldest_protobuf_allowed_can_load_the_generated_code() -> None:
    generated = ROOT / "reference_servers" / "proofload_servers" / "grpc_service" / "prediction_pb2.py"
    (demanded,) = re.findall(r"^# Protobuf Python Version: (\S+)$", generated.read_text(encoding="utf-8"), re.MULTILINE)
    (floor,) = [
        one.version
        for requirement in map(Requirement, PROJECT["project"]["dependencies"])
        if requirement.name == "protobuf"
        for one in requirement.specifier
        if one.operator == ">="
    ]
    assert Version(floor) >= Version(demanded)


def test_every_third_party_import_of_the_wheel_is_declared() -> None:
    """Checked by what the installed distributions say they provide."""
    from importlib.metadata import packages_distributions

    project = PROJECT["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    declared = {canonicalize_name(Requirement(line).name) for line in [*project["dependencies"], *extras]}
    own = {"proofload", "proofload_servers"} | set(sys.stdlib_module_names)
    providers = packages_distributions()
    undeclared = {}
    for path in SOURCES:
        for name in imported(path) - own:
            distributions = {canonicalize_name(one) for one in providers.get(name, ())}
            if not distributions & declared and BROUGHT_ALONG.get(name) not in declared:
                undeclared[name] = named(path)
    assert undeclared == {}


# Makefile and continuous integration.


def test_make_help_lists_every_target() -> None:
    listed = subprocess.run(["make", "-s", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    for target in phony.split():
        assert f"make {target} " in listed


def test_every_script_that_the_makefile_runs_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    scripts = re.findall(r"\$\(BIN\)/python ([\w/]+\.py)", makefile)
    assert scripts
    assert [script for script in scripts if not (ROOT / script).is_file()] == []


def test_what_runs_in_ci_is_executable_and_stops_at_the_first_error() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    lines = script.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines
    assert "PROOFLOAD_REQUIRE_ALL=1" in script.read_text(encoding="utf-8")


# The source.


def test_no_source_file_has_grown_out_of_one_idea() -> None:
    long = {
        named(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES if not is_generated(path)
    }
    assert {name: lines for name, lines in long.items() if lines > MOST_LINES} == {}


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
    assert [named(path) for path in tracked() if path.stem.strip("_") in drawers] == []


def test_every_module_says_what_it_is_for() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in SOURCES if not is_generated(path)}
    assert [named(path) for path, text in texts.items() if text and not ast.get_docstring(ast.parse(text))] == []


def test_every_transport_is_held_to_the_conformance_kit() -> None:
    tests = [path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "transports").glob("test_*_conformance.py")]
    for name, found in implementations("transport").items():
        assert found.module is not None
        package, _, module = found.module.__name__.rpartition(".")
        pattern = rf"from {package}\.{module} import|from {package} import {module}\b"
        assert any(re.search(pattern, test) for test in tests), f"no test runs the kit over {name}"


def test_library_and_servers_do_not_import_each_other() -> None:
    assert [named(path) for path in SERVERS.rglob("*.py") if "proofload" in imported(path)] == []
    assert [named(path) for path in LIBRARY.rglob("*.py") if "proofload_servers" in imported(path)] == []


def test_only_one_module_may_import_locust() -> None:
    """It replaces half of the standard library as it is imported."""
    users = [path.name for path in SOURCES if imported(path) & {"locust", "gevent"}]
    assert set(users) <= {"locust_adapter.py"}


def loaded_by(statement: str) -> set[str]:
    program = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


HEAVY = {"numpy", "scipy", "pandas", "pyarrow", "matplotlib", "grpc", "httpx", "pydantic", "onnxruntime"}


@pytest.mark.parametrize("statement", ["import proofload", "import proofload.cli.app", "import proofload.errors"])
def test_importing_it_is_light_and_leaves_the_standard_library_alone(statement: str) -> None:
    assert not loaded_by(statement) & (HEAVY | {"locust", "gevent"})


def test_the_engine_process_does_not_load_what_only_reports_need() -> None:
    loaded = loaded_by("import proofload.engine.worker")
    assert not loaded & {"matplotlib", "pandas", "rich", "typer", "jinja2", "locust", "gevent", "onnxruntime"}


# Scenario and target files, and what is generated.


def test_every_scenario_file_loads_long_and_quick() -> None:
    listed = list(known_scenarios())
    assert len(listed) >= 2
    for item in listed:
        assert item.problem == ""
        assert item.description, f"{item.path}: its first line says what it is for"
        for quick in (False, True):
            assert load_scenario(str(item.path), quick=quick).name == item.name


def test_every_target_that_a_scenario_names_exists() -> None:
    known = {item.name for item in known_targets()}
    for item in known_scenarios():
        assert set(load_scenario(str(item.path)).target_names()) <= known


def test_every_target_file_loads_and_every_server_folder_with_a_program_has_one() -> None:
    targets = {item.path.parent.name: item for item in known_targets() if item.path.is_relative_to(SERVERS)}
    for item in known_targets():
        assert item.problem == ""
        assert item.description, f"{item.path}: `description` says what it is"
        assert (load_target(str(item.path)).start is not None) == item.path.is_relative_to(SERVERS), item.name
    programs = {path.parent.name for path in SERVERS.glob("*/__main__.py")}
    others = {"batch", "faults"}
    assert programs - others <= set(targets), "each serving option is a target; batch scores files, faults lists them"
    for folder in set(targets) - programs:  # the same program, told otherwise
        started = load_target(str(targets[folder].path)).start
        assert started is not None
        assert {word.removeprefix("proofload_servers.") for word in started.command} & programs, folder


def test_every_fault_is_planted_by_a_case_of_the_self_test_and_every_case_plants_one_that_exists() -> None:
    rows = [case for case in cases() if case.fault]
    planted = {case.fault.partition(":")[0] for case in rows}
    assert planted == set(all_faults())
    for case in rows:
        fault = all_faults()[case.fault.partition(":")[0]]
        assert bool(case.expect) is not fault.control, f"{case.fault}: a control is to pass, a defect to be named"
        assert case.target in fault.servers


def test_the_page_of_validity_codes_is_not_stale() -> None:
    spec = importlib.util.spec_from_file_location("validity_codes", ROOT / "docs" / "validity_codes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run python docs/validity_codes.py"
