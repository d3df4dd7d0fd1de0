"""Scenario files: what they may say, [quick], --set, and how mistakes are told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from pydantic import Field

from proofload import discovery
from proofload.errors import InputError
from proofload.resources import Layout
from proofload.scenarios import Scenario, known_scenarios, load_scenario

FULL = """
procedure = "steady"
targets = ["fastapi", "mine.target.toml"]
arrival = "constant"
rate_rps = 200
base_rate_rps = 20
duration_s = 60
warmup_s = 5
timeout_s = 2
connections = 10
seed = 7
workers = 2
device = "cuda"
payloads = "p.jsonl"
alpha_fail = 0.01
alpha_pass = 0.02
[slo]
p50_ms = 10
p99_9_ms = 100
deadline_ms = 1500
ok_share = 0.99
[cost]
resources = { vcpu-hour = 2 }
utilisation = 0.5
peak_rps = 1000
spare = 1
[quick]
duration_s = 6
slo = { p50_ms = 20 }
"""


class SteadySettings(Scenario):
    """A procedure with a key of its own."""

    horizon_h: Annotated[float, Field(gt=0)] = 24.0


@pytest.fixture(autouse=True)
def _procedures(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Two procedures, so that these tests stand by themselves: `steady` has Settings of its own, `plain` none."""
    if "real_procedures" in request.fixturenames:
        return
    real = discovery.module_for

    def module_for(kind: str, name: str) -> Any:
        if kind != "procedure":
            return real(kind, name)
        known = {"steady": SimpleNamespace(Settings=SteadySettings), "plain": SimpleNamespace()}
        if name not in known:
            raise InputError(f"there is no procedure named {name!r}")
        return known[name]

    monkeypatch.setattr(discovery, "module_for", module_for)


@pytest.fixture
def real_procedures() -> None:
    """Ask for the procedures there really are."""


def write(folder: Path, text: str = FULL, name: str = "mine.scenario.toml") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def test_every_key_is_read(tmp_path: Path) -> None:
    scenario = load_scenario(write(tmp_path))
    assert isinstance(scenario, SteadySettings)
    assert (scenario.name, scenario.procedure, scenario.horizon_h) == ("mine", "steady", 24.0)
    assert (scenario.rate_rps, scenario.duration_s, scenario.warmup_s, scenario.timeout_s) == (200, 60, 5, 2)
    assert scenario.slo.limits() == {"p50": 10, "p99_9": 100}
    assert scenario.deadline_s == 1.5
    assert scenario.cost.resources == {"vcpu-hour": 2}
    assert scenario.target_names() == ["fastapi", str(tmp_path / "mine.target.toml")]
    assert scenario.payloads_path == tmp_path / "p.jsonl"


def test_the_defaults_are_those_of_the_design(tmp_path: Path) -> None:
    scenario = load_scenario(write(tmp_path, 'procedure = "plain"'))
    assert (scenario.warmup_s, scenario.slo.ok_share, scenario.alpha_fail, scenario.alpha_pass) == (
        "auto", 0.999, 0.001, 0.01,
    )  # fmt: skip
    assert scenario.deadline_s == scenario.timeout_s
    assert scenario.cost.resources == "auto"


def test_quick_replaces_key_by_key_and_set_comes_last(tmp_path: Path) -> None:
    path = write(tmp_path)
    quick = load_scenario(path, quick=True)
    assert (quick.duration_s, quick.is_quick) == (6, True)
    assert quick.slo.limits() == {"p50": 20, "p99_9": 100}
    assert load_scenario(path, quick=True, overrides={"duration_s": 3}).duration_s == 3
    assert load_scenario(path).duration_s == 60


def test_a_mistake_in_quick_is_told_even_when_it_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\[quick\]: unknown key `durations` \(nearest known one: `duration_s`\)"):
        load_scenario(write(tmp_path, 'procedure = "steady"\n[quick]\ndurations = 3'))


def test_quick_without_a_quick_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no \[quick\] table"):
        load_scenario(write(tmp_path, 'procedure = "steady"'), quick=True)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("slo.p99_9_ms", 70, None),
        ("shape.to_rps", 300, None),
        ("horizon_h", 2, None),
        ("rate_rp", 5, "--set: unknown key `rate_rp` (nearest known one: `rate_rps`)"),
        ("p99_ms", 5, "--set: unknown key `p99_ms` (nearest known one: `slo.p99_ms`)"),
        ("slo.p999_ms", 5, "--set: unknown key `slo.p999_ms` (nearest known one: `slo.p99_9_ms`)"),
        ("horizon", 5, "--set: unknown key `horizon` (nearest known one: `horizon_h`)"),
        ("rate_rps", "fast", "--set: `rate_rps`: seen 'fast' (text), expected a number"),
        ("rate_rps", -1, "expected a number above 0"),
        ("warmup_s", "atuo", "--set: `warmup_s`: seen 'atuo' (text), expected a number or 'auto'"),
        ("cost.resources", {"vcpu-hour": "x"}, "`cost.resources.vcpu-hour`: seen 'x' (text), expected a number"),
        ("workers", 0, "expected a number above 0"),
        ("slo.ok_share", 99.9, "expected a number of at most 1"),
        ("alpha_fail", 0.7, "expected a number below 0.5"),
        ("seed", 1.5, "expected a whole number"),
        ("slo.deadline_ms", 9999, "slo.deadline_ms (9999) at most timeout_s (2 s)"),
        ("source", "x", "unknown key `source`"),
        ("name", "n" * 101, "at most 100 characters"),
    ],
)
def test_set_reaches_every_key_and_tells_what_it_cannot(
    tmp_path: Path, key: str, value: object, says: str | None
) -> None:
    path = write(tmp_path, FULL.replace('"constant"', '"ramp"') + "[shape]\nto_rps = 10")
    if says is None:
        assert load_scenario(path, overrides={key: value}).model_dump()
        return
    with pytest.raises(InputError) as caught:
        load_scenario(path, overrides={key: value})
    assert says in str(caught.value)


def test_a_file_that_is_wrong_by_itself_is_blamed_and_not_the_flag(tmp_path: Path) -> None:
    path = write(tmp_path, 'procedure = "steady"\nrate = 3')
    with pytest.raises(InputError) as caught:
        load_scenario(path, overrides={"seed": 3})
    assert caught.value.what.startswith(path)


def test_a_scenario_survives_its_json_form(tmp_path: Path) -> None:
    scenario = load_scenario(write(tmp_path))
    again = SteadySettings.model_validate_json(scenario.model_dump_json())
    assert again == scenario.model_copy(update={"source": None})
    assert SteadySettings.model_validate(scenario.model_dump(mode="json")) == again


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rate_rps = 3", "names no procedure"),
        ('procedure = "sok"', "no procedure named 'sok'"),
        ('procedure = "steady"\nquick = 3', "`quick` is not a table"),
        ('procedure = "steady"\narrival = "poison"', "no arrival named 'poison'"),
        ('procedure = "steady"\narrival = "ramp"', "shape.to_rps"),
        ('procedure = "steady"\n[shape]\nto_rps = 4', "to_rps"),
        ('procedure = "steady"\n[slo]\np99_ms = ', "line 3: p99_ms ="),
        ('procedure = "steady"\ntargets = "fastapi"', "`targets`: seen 'fastapi' (text), expected a list"),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        load_scenario(path)
    assert says in str(caught.value)


def test_an_unknown_arrival_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_scenario(write(tmp_path, 'procedure = "steady"\narrival = "poison"'))
    assert "did you mean 'poisson'?" in str(caught.value)


def test_a_trace_is_found_beside_the_scenario_and_from_the_command_line_where_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = 'procedure = "steady"\narrival = "trace"\n[shape]\nfile = "t.csv"'
    path = write(tmp_path / "scenarios", text)
    for folder in (tmp_path / "scenarios", tmp_path / "here"):
        folder.mkdir(exist_ok=True)
        (folder / "t.csv").write_text("0.0\n0.5\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path / "here")
    assert load_scenario(path).shape["file"] == str(tmp_path / "scenarios" / "t.csv")
    assert load_scenario(path, overrides={"shape.file": "t.csv"}).shape["file"] == str(tmp_path / "here" / "t.csv")


def test_the_working_directory_comes_before_the_checkout_and_that_before_the_package(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "w", tmp_path / "c", tmp_path / "site" / "proofload")
    places = [tmp_path / "w" / "scenarios", tmp_path / "c" / "scenarios", layout.package / "data" / "scenarios"]
    for seed, folder in enumerate(places):
        write(folder, f'procedure = "plain"\nseed = {seed}', "one.scenario.toml")
    for seed, folder in enumerate(places):
        assert load_scenario("one", layout=layout).seed == seed
        (folder / "one.scenario.toml").unlink()
    with pytest.raises(InputError, match="no scenario named 'one'"):
        load_scenario("one", layout=layout)


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        load_scenario("capcity")
    assert "did you mean 'capacity'?" in str(caught.value)


def test_a_broken_file_is_listed_with_what_is_wrong(tmp_path: Path) -> None:
    write(tmp_path, 'procedure = "plain"\nrate = 3', "bad.scenario.toml")
    write(tmp_path, '# Does it hold?\nprocedure = "plain"', "good.scenario.toml")
    listed = {one.name: one for one in known_scenarios(Layout(tmp_path, None, tmp_path / "site" / "proofload"))}
    assert "unknown key `rate`" in listed["bad"].problem
    assert (listed["good"].description, listed["good"].problem) == ("Does it hold?", "")


@pytest.mark.usefixtures("real_procedures")
def test_every_scenario_of_ours_loads_in_both_forms() -> None:
    listed = {one.name: one for one in known_scenarios()}
    assert {"load", "capacity"} <= set(listed)
    for name, one in listed.items():
        assert one.problem == "", name
        assert load_scenario(name, quick=True).procedure == load_scenario(name).procedure
        assert one.description


@pytest.mark.usefixtures("real_procedures")
def test_capacity_alone_compares_all_references() -> None:
    assert load_scenario("capacity").target_names() == ["flask", "fastapi", "grpc", "kafka"]
