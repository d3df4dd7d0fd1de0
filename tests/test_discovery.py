"""Finding implementations: one file each, entry points beside them, and a broken one that breaks nothing else."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proofload.discovery import KINDS, implementations, module_for
from proofload.errors import InputError, Unavailable

EntryPoint = Callable[..., None]


@pytest.fixture(autouse=True)
def _look_again() -> Iterator[None]:
    implementations.cache_clear()
    yield
    implementations.cache_clear()


@pytest.fixture
def entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EntryPoint]:
    """`entry_point(group, name, module, source)`: an installed distribution with this module and entry point."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(group: str, name: str, module: str, source: str | None) -> None:
        if source is not None:
            (tmp_path / f"{module}.py").write_text(source, encoding="utf-8")
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n", encoding="utf-8")
        importlib.invalidate_caches()

    yield install
    for module in set(sys.modules) - before:
        if getattr(sys.modules[module], "__file__", None) and Path(sys.modules[module].__file__ or "").is_relative_to(
            tmp_path
        ):
            del sys.modules[module]


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_of_a_kind_is_found_and_usable_here(kind: str) -> None:
    package = importlib.import_module(KINDS[kind])
    files = {info.name.replace("_", "-") for info in pkgutil.iter_modules(package.__path__) if info.name[0] != "_"}
    found = implementations(kind)
    assert files <= set(found)
    assert [one.reason for one in found.values() if one.module is None] == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_kinds_own_package_names_none_of_its_implementations(kind: str) -> None:
    package = importlib.import_module(KINDS[kind])
    assert not set(vars(package)) & {"create"}
    source = Path(str(package.__file__)).read_text(encoding="utf-8")
    assert f"from {KINDS[kind]}" not in source


def test_an_entry_point_adds_an_implementation(entry_point: EntryPoint) -> None:
    entry_point("proofload.workloads.arrivals", "in-pairs", "pairs_for_tests", "def create(spec): ...")
    assert module_for("arrival", "in-pairs").__name__ == "pairs_for_tests"
    assert "constant" in implementations("arrival")


def test_an_entry_point_cannot_take_the_place_of_a_built_in(entry_point: EntryPoint) -> None:
    entry_point("proofload.transports", "http", "usurper_for_tests", "def create(spec, sink): ...")
    assert module_for("transport", "http").__name__ == "proofload.transports.http"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import a_library_that_is_not_here", "No module named 'a_library_that_is_not_here'"),
        ("raise OSError('libnothing.so: cannot open')", "OSError: libnothing.so: cannot open"),
        ("def open(): ...", "defines no create()"),
        (None, "No module named 'part_for_tests'"),
    ],
)
def test_a_part_that_cannot_be_used_is_unavailable_with_its_reason(
    entry_point: EntryPoint, source: str | None, reason: str
) -> None:
    entry_point("proofload.probes", "mine", "part_for_tests", source)
    assert module_for("probe", "process").__name__ == "proofload.probes.process"
    assert reason in implementations("probe")["mine"].reason
    with pytest.raises(Unavailable) as caught:
        module_for("probe", "mine")
    assert reason in caught.value.evidence
    assert "proofload doctor" in caught.value.remedy


def test_an_unknown_name_is_told_with_the_nearest_known_one() -> None:
    with pytest.raises(InputError) as caught:
        module_for("transport", "htpp")
    assert caught.value.what == "there is no transport named 'htpp'"
    assert "grpc" in caught.value.evidence
    assert caught.value.remedy == "did you mean 'http'?"


def test_a_name_unlike_all_others_is_told_what_there_is() -> None:
    with pytest.raises(InputError) as caught:
        module_for("runtime", "zzz")
    assert "external, process" in caught.value.evidence
    assert "mean" not in caught.value.remedy
