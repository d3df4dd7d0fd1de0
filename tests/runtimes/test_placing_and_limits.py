"""Cores and memory: what is claimed is held, and what is not held is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from proofload.runtimes._choose import default_runtime
from proofload.runtimes._memory_limit import MemoryGroup, NotEnforced, memory_group
from proofload.runtimes._placing import cores_for
from proofload.target_model import Target


def test_without_a_limit_the_lab_decides() -> None:
    assert cores_for(None, (3, 2), range(8)).pinned == (2, 3)
    assert cores_for(None, (), range(8)).pinned == ()


def test_a_limit_takes_the_highest_cores_of_those_offered() -> None:
    assert cores_for(2, (1, 2, 3), range(8)).pinned == (2, 3)
    assert cores_for(2, (), range(8)).pinned == (6, 7)
    assert not cores_for(2, (), range(8)).shortfall


@pytest.mark.parametrize(("limit", "cores"), [(0.5, (7,)), (1.5, (6, 7))])
def test_a_fraction_of_a_core_is_not_claimed(limit: float, cores: tuple[int, ...]) -> None:
    found = cores_for(limit, (), range(8))
    assert found.pinned == cores
    assert "not enforced" in found.shortfall


def test_more_cores_than_there_are_is_said() -> None:
    assert "4" in cores_for(4, (), range(2)).shortfall


def cgroup_file(folder: Path, text: str) -> Path:
    path = folder / "self-cgroup"
    path.write_text(text, encoding="ascii")
    return path


def test_without_control_groups_the_limit_is_not_enforced(tmp_path: Path) -> None:
    found = memory_group(64, root=tmp_path / "none", own=cgroup_file(tmp_path, "0::/user\n"))
    assert isinstance(found, NotEnforced)
    assert found.reason


def test_a_group_without_the_memory_controller_is_no_limit_and_is_not_left_behind(tmp_path: Path) -> None:
    (tmp_path / "root" / "user").mkdir(parents=True)
    (tmp_path / "root" / "cgroup.controllers").touch()
    found = memory_group(64, root=tmp_path / "root", own=cgroup_file(tmp_path, "0::/user\n"))
    assert isinstance(found, NotEnforced)
    assert "memory controller" in found.reason
    assert [path.name for path in (tmp_path / "root").rglob("proofload-*")] == []


@pytest.mark.parametrize(
    ("line", "place", "limit"),
    [("0::/user/lab", "user/lab", "memory.max"), ("4:memory:/lab", "memory/lab", "memory.limit_in_bytes")],
)
def test_both_versions_of_control_groups_get_the_limit_in_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, place: str, limit: str
) -> None:
    root = tmp_path / "root"
    (root / place).mkdir(parents=True)
    (root / "cgroup.controllers").touch()
    make = Path.mkdir

    def kernel_mkdir(self: Path) -> None:
        make(self)
        (self / limit).touch()

    monkeypatch.setattr(Path, "mkdir", kernel_mkdir)
    found = memory_group(64, root=root, own=cgroup_file(tmp_path, line + "\n"))
    assert isinstance(found, MemoryGroup)
    assert found.folder.parent == root / place
    assert (found.folder / limit).read_text(encoding="ascii") == str(64 * 1024 * 1024)
    assert not found.holds(1)


@pytest.mark.parametrize("name", ["memory.events", "memory.oom_control"])
def test_a_kill_for_memory_is_read_from_either_version(tmp_path: Path, name: str) -> None:
    group = MemoryGroup(tmp_path)
    assert not group.killed_for_memory()
    (tmp_path / name).write_text("low 0\noom_kill 0\n", encoding="ascii")
    assert not group.killed_for_memory()
    (tmp_path / name).write_text("low 0\noom_kill 2\n", encoding="ascii")
    assert group.killed_for_memory()


def test_what_says_how_it_starts_is_started_and_the_rest_is_external() -> None:
    plain = {"name": "x", "transport": "http", "url": "http://127.0.0.1:1/"}
    assert default_runtime(Target.model_validate(plain)) == "external"
    assert default_runtime(Target.model_validate({**plain, "start": {"command": ["x"]}})) == "process"
