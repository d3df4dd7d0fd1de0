"""Finding names and built models: a working directory, a checkout, an installed wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

import proofload
from proofload.errors import InputError, Unavailable
from proofload.resources import MODEL_FILES, Layout, build_fixtures, ensure_fixtures, first_comment, fixtures_dir

BUILDER = """
import argparse, pathlib, sys
parser = argparse.ArgumentParser()
parser.add_argument("--out", type=pathlib.Path)
parser.add_argument("--only", action="append", choices=["one", "half"])
options = parser.parse_args()
for name in options.only or ["one"]:
    (options.out / name).mkdir(parents=True, exist_ok=True)
    for file in ("model.onnx", "model.json", "payloads.jsonl")[: 1 if name == "half" else 3]:
        (options.out / name / file).write_text("x")
    print("built", name)
"""


@pytest.fixture(autouse=True)
def _no_named_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROOFLOAD_FIXTURES", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


def touch(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def installed(tmp_path: Path) -> Layout:
    """As a wheel lies: the package, its data, the servers beside it; no checkout, an empty working directory."""
    site = tmp_path / "site-packages"
    touch(site / "proofload" / "data" / "scenarios" / "load.scenario.toml")
    touch(site / "proofload" / "data" / "fixtures" / "make_fixtures.py", BUILDER)
    touch(site / "proofload_servers" / "flask_app" / "target.toml")
    (tmp_path / "work").mkdir()
    return Layout(tmp_path / "work", None, site / "proofload")


def test_this_checkout_is_seen_as_one() -> None:
    layout = Layout.here()
    assert layout.checkout is not None
    assert layout.package == Path(proofload.__file__).parent
    assert any(path.name == "load.scenario.toml" for path in layout.scenario_files())
    assert any(path.parent.name == "flask_app" for path in layout.target_files())


def test_an_installed_wheel_finds_the_same_things(tmp_path: Path) -> None:
    layout = installed(tmp_path)
    assert [path.name for path in layout.scenario_files()] == ["load.scenario.toml"]
    assert [path.parent.name for path in layout.target_files()] == ["flask_app"]
    assert [path.name for path in layout.fixture_sources()] == ["fixtures"]


def test_a_file_reached_twice_is_listed_once(tmp_path: Path) -> None:
    touch(tmp_path / "scenarios" / "a.scenario.toml")
    layout = Layout(tmp_path, tmp_path, tmp_path / "site" / "proofload")
    assert len(layout.scenario_files()) == 1


def test_prices_of_ones_own_come_before_those_that_ship(tmp_path: Path) -> None:
    layout = installed(tmp_path)
    shipped = touch(layout.package / "data" / "fixtures" / "prices.toml")
    assert layout.price_tables() == [shipped]
    own = touch(layout.working / "prices.toml")
    assert layout.price_tables() == [own, shipped]


def test_built_models_are_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROOFLOAD_FIXTURES", str(tmp_path / "mine"))
    assert fixtures_dir(installed(tmp_path)) == tmp_path / "mine"


def test_else_in_the_working_directory_else_in_the_checkout_else_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    bare = installed(tmp_path)
    layout = Layout(bare.working, tmp_path / "checkout", bare.package)
    assert fixtures_dir(layout) == tmp_path / "home" / ".cache" / "proofload" / "fixtures"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert fixtures_dir(layout) == tmp_path / "cache" / "proofload" / "fixtures"
    touch(tmp_path / "checkout" / "fixtures" / "make_fixtures.py")
    assert fixtures_dir(layout) == tmp_path / "checkout" / "fixtures" / "build"
    (layout.working / "fixtures" / "build").mkdir(parents=True)
    assert fixtures_dir(layout) == tmp_path / "checkout" / "fixtures" / "build", "some other project's fixtures/build"
    touch(layout.working / "fixtures" / "build" / "fraud" / "model.json")
    assert fixtures_dir(layout) == layout.working / "fixtures" / "build"


def test_a_missing_model_is_built_once_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROOFLOAD_FIXTURES", str(tmp_path / "built"))
    layout = installed(tmp_path)
    said: list[str] = []
    folder = ensure_fixtures("one", said.append, layout)
    assert folder == tmp_path / "built" / "one"
    assert all((folder / name).is_file() for name in MODEL_FILES)
    assert len(said) == 1
    assert "building the model one" in said[0]
    ensure_fixtures("one", said.append, layout)
    assert len(said) == 1


def test_an_unknown_model_names_those_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROOFLOAD_FIXTURES", str(tmp_path / "built"))
    with pytest.raises(InputError, match="no model named two") as caught:
        ensure_fixtures("two", layout=installed(tmp_path))
    assert "'one', 'half'" in caught.value.evidence


def test_a_builder_that_leaves_files_out_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROOFLOAD_FIXTURES", str(tmp_path / "built"))
    with pytest.raises(InputError, match="the model half was not built") as caught:
        ensure_fixtures("half", layout=installed(tmp_path))
    assert "lacks model.json, payloads.jsonl" in caught.value.evidence


def test_a_failing_builder_is_told_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROOFLOAD_FIXTURES", str(tmp_path / "built"))
    layout = installed(tmp_path)
    touch(layout.package / "data" / "fixtures" / "make_fixtures.py", "raise SystemExit('no onnx here')")
    with pytest.raises(Unavailable, match="building one failed") as caught:
        ensure_fixtures("one", layout=layout)
    assert "no onnx here" in caught.value.evidence


def test_without_builders_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROOFLOAD_FIXTURES", str(tmp_path / "built"))
    with pytest.raises(Unavailable, match="no fixture builders"):
        ensure_fixtures("one", layout=Layout(tmp_path, None, tmp_path / "site" / "proofload"))


def test_building_all_says_what_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROOFLOAD_FIXTURES", str(tmp_path / "built"))
    assert build_fixtures(layout=installed(tmp_path)) == tmp_path / "built"
    assert capfd.readouterr().out == "built one\n"


def test_the_first_comment_describes_a_file(tmp_path: Path) -> None:
    assert first_comment(touch(tmp_path / "a", "# What it does.\nx = 1")) == "What it does"
    assert first_comment(touch(tmp_path / "b", "x = 1 # no")) == ""
