"""The comparison of `make gpu`, without a GPU: its page, from results that are made up, and what it says it skips."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from proofload.overrides import parsed
from proofload.scenarios import load_scenario
from proofload.targets import load_target
from proofload.testing.fake_nvml import Board, FakeNvml

ENERGY = {"per_million_j": 98_765.0, "interval": [97_000.0, 101_000.0], "mean_w": 210.0, "detail": "Measured by hand."}
LATENCY = {"p50": 12.5, "p99": 44.0, "censored": []}


@pytest.fixture
def comparison(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(checkout / "benchmarks"))
    import gpu_comparison

    return gpu_comparison


def result(rate_rps: float | None, *, energy: Mapping[str, Any] | None = None, status: str = "pass") -> dict[str, Any]:
    phase = {"measured": True, "goodput_rps": 40.0, "latency_ms": LATENCY, "outcomes": {"wrong": 0}}
    low_high = [None, None] if rate_rps is None else [0.9 * rate_rps, 1.1 * rate_rps]
    return {
        "status": status, "phases": [phase, {**phase, "measured": False}],
        "capacity": {"rate_rps": rate_rps, "interval": low_high},
        "cost": None if energy is None else {"energy": energy},
    }  # fmt: skip


@pytest.fixture
def with_a_gpu(comparison: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board(name="Imaginary 9", milliwatts=60_000)
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(board))
    monkeypatch.setattr(comparison, "REST_S", 0.01)
    monkeypatch.setattr(comparison, "REST_EVERY_S", 0.001)


@pytest.fixture
def runs(comparison: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[str, str, float]]]:
    """`runs(cpu=20.0, cuda=400.0, tensorrt="no libnvinfer")`: what each device holds, or says. Gives what was run."""

    def prepare(**holds: float | str | None) -> list[tuple[str, str, float]]:
        asked: list[tuple[str, str, float]] = []

        def run(scenario: str, device: str, settings: Mapping[str, Any], out: Path) -> Any:
            asked.append((scenario, device, settings.get("rate_rps", 0.0)))
            held = holds[device]
            if isinstance(held, str):
                return held
            told = result(held, energy=None if device == "cpu" else ENERGY)
            return comparison.Measured(
                told, f"proofload run {scenario} --device {device}", clock_held_down={"thermal": 0.25}
            )

        monkeypatch.setattr(comparison, "run", run)
        return asked

    return prepare


@pytest.mark.usefixtures("with_a_gpu")
def test_the_page_names_the_device_its_figures_and_what_was_skipped(
    comparison: ModuleType, runs: Callable[..., Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = runs(cpu=20.0, cuda=400.0, tensorrt="error: libnvinfer.so.10 is missing")
    page = tmp_path / "gpu.md"
    assert comparison.main(["--out", str(tmp_path / "out"), "--report", str(page)]) == 0
    shown = page.read_text(encoding="utf-8")
    for words in (
        "accelerator 0: **Imaginary 9**", "60.0 W at rest", "skipped: TensorRT: error: libnvinfer.so.10 is missing",
        "| CPU | pass | 20.0 | 18.0–22.0 | 12.5 | 44.0 | 0 | not read | not read |",
        "| CUDA | pass | 400 | 360–440 | 12.5 | 44.0 | 0 | not read | 98,800 | 97,000–101,000 | 210 |",
        "At the same rate, 10.0 requests/s", "CUDA, at the same rate: Measured by hand.",
        "CUDA: its clock was held down by thermal in 25.0 % of the readings",
        "proofload run capacity --device cuda",
    ):  # fmt: skip
        assert words in shown
    assert asked == [
        ("capacity", "cpu", 0.0), ("capacity", "cuda", 0.0), ("capacity", "tensorrt", 0.0),
        ("load", "cpu", 10.0), ("load", "cuda", 10.0),
    ]  # fmt: skip
    assert "skipped: TensorRT" in capfd.readouterr().out
    tables = re.findall(r"(?:^\|.*\n)+", shown, re.MULTILINE)
    assert len(tables) == 2
    assert all(len({line.count("|") for line in table.splitlines()}) == 1 for table in tables)


@pytest.mark.usefixtures("with_a_gpu")
def test_where_no_device_holds_any_rate_there_is_no_common_one(
    comparison: ModuleType, runs: Callable[..., Any], tmp_path: Path
) -> None:
    runs(cpu=None, cuda=None)
    found = comparison.compared(["cpu", "cuda"], tmp_path)
    assert found.same_rate == {}
    assert "no device was shown to hold any" in comparison.page(found)
    assert "| CPU | pass | n/a | n/a |" in comparison.page(found)


def test_where_there_is_no_gpu_that_is_said_and_nothing_is_run(
    comparison: ModuleType, runs: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = runs()
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(loaded=False))
    assert comparison.main([]) == comparison.main(["--look"]) == 3
    assert asked == []
    said = capfd.readouterr().out.splitlines()
    assert said == [said[0]] * 2
    assert said[0].startswith("skipped: the GPU tests and the comparison of CPU, CUDA and TensorRT: no accelerator")


@pytest.mark.parametrize(
    ("code", "stderr", "says"),
    [(2, "error: it died\n  evidence:\n    error: no GPU here", "no GPU here"), (1, "", "1 and no result")],
)
def test_a_run_that_cannot_be_is_a_reason_and_no_figure(
    comparison: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, stderr: str, says: str
) -> None:
    commands: list[list[str]] = []

    def ended(command: list[str], **_: object) -> SimpleNamespace:
        commands.append(command)
        return SimpleNamespace(returncode=code, stderr=stderr)

    monkeypatch.setattr(comparison, "subprocess", SimpleNamespace(run=ended, DEVNULL=0, PIPE=1))
    for device, setting in (("tensorrt", "PROOFLOAD_TRT_CACHE"), ("cpu", "PROOFLOAD_THREADS")):
        assert says in comparison.run("load", device, {**comparison.COMMON, "rate_rps": 5}, tmp_path)
        words = commands[-1]
        assert words[words.index("--device") + 1] == device
        changes = parsed([word for before, word in itertools.pairwise(words) if before == "--set"])
        target = load_target("fastapi", overrides=changes.target)
        assert target.start is not None
        assert setting in target.start.env


def test_a_reason_bears_no_path_of_this_machine(comparison: ModuleType, tmp_path: Path) -> None:
    stderr = f"error: died\n evidence: x\n   error: {Path.cwd()}/model.onnx and {Path.home()}/y do not load\n next: z"
    assert comparison.reason(stderr) == "model.onnx and ~/y do not load"
    assert comparison.reason("\n") == ""


def test_its_settings_are_ones_that_the_scenarios_have(comparison: ModuleType) -> None:
    for name, own in (("capacity", comparison.CAPACITY), ("load", {"rate_rps": 10.0, "duration_s": 30})):
        changes = parsed([f"{key}={value}" for key, value in {**comparison.COMMON, **own}.items()])
        scenario = load_scenario(name, quick=False, overrides=changes.scenario)
        assert (scenario.slo.p99_ms, scenario.slo.ok_share) == (250, 0.99)
        assert changes.target["model"] == "resnet50"


def test_the_gpu_set_up_pins_what_its_extra_asks_for_and_no_second_onnxruntime(checkout: Path) -> None:
    import tomllib

    lines = (checkout / "requirements-gpu.txt").read_text(encoding="utf-8").splitlines()
    pins = {
        canonicalize_name(name): version
        for name, _, version in (line.partition("==") for line in lines if line[0] != "#")
    }
    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (wanted,) = [
        one for one in map(Requirement, project["optional-dependencies"]["servers-gpu"]) if "onnxruntime" in one.name
    ]
    assert wanted.specifier.contains(pins[canonicalize_name(wanted.name)])
    assert wanted.extras == {"cuda", "cudnn"}
    assert "onnxruntime" not in pins
    common = (checkout / "requirements.txt").read_text(encoding="utf-8")
    assert not [name for name in pins if re.search(rf"^{name}==", common, re.MULTILINE)]
    assert f"onnxruntime=={pins[canonicalize_name(wanted.name)]}\n" in common, "CPU and GPU are compared at one version"


def test_make_says_what_it_skips_and_is_content(checkout: Path, required_program: Callable[..., str]) -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("there is an NVIDIA driver here: make gpu would measure")
    recipe = [required_program("make"), "-s", "gpu", "--assume-old=setup", "--assume-old=fixtures"]
    ended = subprocess.run(recipe, cwd=checkout, capture_output=True, text=True, check=False, timeout=100)
    assert ended.returncode == 0, ended.stderr
    assert "skipped: the GPU tests" in ended.stdout
