"""Devices: what is asked of ONNX Runtime for each, and that none is swapped for another in silence.

The refusals of the GPU package itself were tried by hand (docs/gpu.md): its libraries are too large for a test.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest

from proofload_servers.serving import StartupError, devices
from proofload_servers.serving.devices import RECORD, TF32, check_device, check_placement, engines_in, providers
from proofload_servers.serving.session import open_session

CUDA, TENSORRT, CPU = "CUDAExecutionProvider", "TensorrtExecutionProvider", "CPUExecutionProvider"
Placed = dict[str, list[str]]


class Session:
    """Operators by provider, as a session tells them that was opened with RECORD."""

    def __init__(self, registered: Sequence[str], placed: Placed) -> None:
        self._registered = registered
        self._placed = placed

    def get_providers(self) -> Sequence[str]:
        return self._registered

    def get_provider_graph_assignment_info(self) -> list[Any]:
        return [
            SimpleNamespace(
                ep_name=name,
                get_nodes=lambda types=types: [SimpleNamespace(op_type=one, domain="") for one in types],
            )
            for name, types in self._placed.items()
        ]


def refused(device: str, registered: Sequence[str], placed: Placed) -> str:
    with pytest.raises(StartupError) as refusal:
        check_placement(Session(registered, placed), device, "the model")
    return str(refusal.value)


@pytest.mark.parametrize(
    ("device", "placed"),
    [
        ("cuda", {CUDA: ["Conv", "Relu"]}),
        ("cuda", {CUDA: ["Conv"], CPU: ["Shape", "Gather", "Concat"]}),
        ("tensorrt", {TENSORRT: ["Conv"]}),
        ("tensorrt", {TENSORRT: ["Conv"], CUDA: ["NonZero"]}),
    ],
)
def test_a_session_that_computes_where_it_was_told_to_is_let_be(device: str, placed: Placed) -> None:
    check_placement(Session([devices.PROVIDERS[device], CPU], placed), device, "the model")


def test_a_provider_that_did_not_come_up_is_refused() -> None:
    assert "fell back to CPUExecutionProvider" in refused("cuda", [CPU], {CPU: ["Conv"]})


def test_a_graph_without_an_implementation_is_refused_and_its_operators_are_named() -> None:
    said = refused("cuda", [CUDA, CPU], {CPU: ["TreeEnsembleClassifier"]})
    assert "no part of the model" in said
    assert "1 × TreeEnsembleClassifier" in said
    assert said.endswith("use --device cpu")


def test_a_graph_that_is_computed_on_the_cpu_in_part_is_refused() -> None:
    said = refused("cuda", [CUDA, CPU], {CUDA: ["Conv"], CPU: ["Shape", "LSTM", "LSTM"]})
    assert "(2 × LSTM)" in said


def test_cuda_is_not_taken_for_tensorrt() -> None:
    said = refused("tensorrt", [TENSORRT, CUDA, CPU], {CUDA: ["Conv"]})
    assert "would be on CUDA" in said
    assert said.endswith("use --device cuda")


def test_a_runtime_that_does_not_tell_what_computes_where_is_refused() -> None:
    session = SimpleNamespace(get_providers=lambda: [CUDA])
    with pytest.raises(StartupError, match="does not tell"):
        check_placement(session, "cuda", "the model")


def test_the_installed_runtime_tells_placement_in_these_words(tiny_model: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(RECORD, "1")
    session = onnxruntime.InferenceSession(str(tiny_model / "model.onnx"), options, providers=[CPU])
    (part,) = session.get_provider_graph_assignment_info()
    assert part.ep_name == CPU
    assert [(node.op_type, node.domain) for node in part.get_nodes()] == [("MatMul", "")]


def test_the_cpu_is_never_a_second_choice(tmp_path: Path) -> None:
    names = {
        device: [one if isinstance(one, str) else one[0] for one in
                 providers(device, trt_cache=None, shapes={}, tf32=False)]
        for device in devices.PROVIDERS
    }  # fmt: skip
    assert names == {"cpu": [CPU], "cuda": [CUDA], "tensorrt": [TENSORRT, CUDA]}


def test_engines_are_kept_where_they_are_told_to_and_never_mixed(tmp_path: Path) -> None:
    cache = engines_in(str(tmp_path), max_batch=32, tf32=False)
    assert cache is not None
    [(_, options), _] = providers("tensorrt", trt_cache=cache, shapes={"trt_profile_min_shapes": "x:1x4"}, tf32=False)
    assert cache.is_dir()
    assert (options["trt_engine_cache_path"], options["trt_timing_cache_path"]) == (str(cache), str(cache))
    assert options["trt_engine_cache_enable"] == options["trt_timing_cache_enable"] == "True"
    assert options["trt_profile_min_shapes"] == "x:1x4"
    others = (engines_in(str(tmp_path), max_batch=16, tf32=False), engines_in(str(tmp_path), max_batch=32, tf32=True))
    assert len({cache, *others}) == 3
    assert engines_in("", max_batch=1, tf32=False) is None
    (tmp_path / "file").touch()
    with pytest.raises(StartupError, match="TensorRT engines"):
        providers("tensorrt", trt_cache=tmp_path / "file" / "x", shapes={}, tf32=False)


@pytest.fixture
def gpu_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """An onnxruntime with all providers, whose libraries are what `missing` does not name."""
    package = SimpleNamespace(
        __version__="9.9", __file__=str(tmp_path / "__init__.py"), missing="", loaded=[],
        get_available_providers=lambda: [TENSORRT, CUDA, CPU],
        preload_dlls=lambda directory: print("Failed to load something"),
    )  # fmt: skip

    def load(path: str, mode: int = 0) -> None:
        name = Path(path).name
        if package.missing and name.startswith(f"libonnxruntime_providers_{package.missing.split()[0]}"):
            raise OSError(package.missing.split()[1] + ": cannot open shared object file")
        package.loaded.append(name)

    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setitem(sys.modules, "onnxruntime", package)
    monkeypatch.delenv(TF32, raising=False)
    return package


def test_a_missing_library_is_named_with_what_to_do(gpu_package: SimpleNamespace) -> None:
    gpu_package.missing = "cuda libcudart.so.13"
    with pytest.raises(StartupError, match=r"libcudart\.so\.13.*GPU set-up"):
        check_device("cuda")
    gpu_package.missing = "cuda libcuda.so.1"
    with pytest.raises(StartupError, match=r"no NVIDIA driver.*--gpus"):
        check_device("tensorrt")
    gpu_package.missing = "tensorrt libnvinfer.so.10"
    check_device("cuda")
    with pytest.raises(StartupError, match=r"libnvinfer\.so\.10.*--device cuda or cpu"):
        check_device("tensorrt")


def test_what_the_runtime_says_while_loading_stays_off_standard_output(
    gpu_package: SimpleNamespace, capfd: pytest.CaptureFixture[str]
) -> None:
    check_device("cuda")
    assert gpu_package.loaded == ["libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"]
    assert capfd.readouterr().out == ""


def test_answers_keep_their_bits_unless_fewer_were_asked_for(gpu_package: SimpleNamespace) -> None:
    check_device("cuda", tf32=True)
    assert TF32 not in os.environ
    check_device("cpu")
    assert TF32 not in os.environ
    check_device("cuda")
    assert os.environ.pop(TF32) == "0"
    for tf32, said in ((False, "0"), (True, "1")):
        [(_, options)] = providers("cuda", trt_cache=None, shapes={}, tf32=tf32)
        assert options["use_tf32"] == said


def test_a_failed_cuda_call_is_told_in_short() -> None:
    pages = (
        "/src/cuda_call.cc:154 [with ERRTYPE = cudaError] CUDA failure 100: no CUDA-capable device ; GPU=-1 ; file=x"
    )
    assert devices.in_short(RuntimeError(pages)) == "CUDA failure 100: no CUDA-capable device"
    assert devices.in_short(RuntimeError("something else")) == "something else"


def test_where_the_package_lacks_the_provider_no_session_is_opened(tiny_model: Path) -> None:
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    for device in ("cuda", "tensorrt"):
        with pytest.raises(StartupError, match=f"--device {device} needs .*that is --device cpu"):
            open_session(tiny_model / "model.onnx", device=device, threads=1, max_batch=1)
