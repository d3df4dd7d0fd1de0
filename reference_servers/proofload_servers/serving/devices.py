"""Where a model can run: the provider for each device, what must be installed for it, and whether it is really used.

ONNX Runtime falls back to the CPU in silence, in three ways: when a provider's libraries do not load, node by node
where a provider has no implementation, and when a call fails later. A server that was asked for a GPU and answers
from the CPU is a wrong measurement, so each of them is refused here or where the session is opened.

Refusing was tried with ONNX Runtime's GPU package on machines without a GPU; computing on one is unverified.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import io
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .refusals import StartupError

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
REMEDY = {
    "cuda": "install the GPU set-up (onnxruntime-gpu with CUDA 13 and cuDNN 9) or use --device cpu",
    "tensorrt": "install onnxruntime-gpu with TensorRT 10 (libnvinfer.so.10) or use --device cuda or cpu",
    "cpu": "reinstall onnxruntime",
}
NO_DRIVER = (
    "there is no NVIDIA driver here, or this container was started without --gpus; install one for CUDA 13, "
    "or use --device cpu"
)
WORKSPACE_BYTES = 1 << 30
RECORD = "session.record_ep_graph_assignment_info"
SHAPE_WORK = frozenset({
    "Cast", "Concat", "Constant", "ConstantOfShape", "Gather", "Range", "ReduceProd", "Shape", "Size", "Slice",
    "Squeeze", "Unsqueeze",
})  # fmt: skip
"""Operators that ONNX Runtime leaves on the CPU on purpose: they compute shapes, a few numbers each."""
TF32 = "NVIDIA_TF32_OVERRIDE"
"""0: products keep the 23 bits that they have on the CPU, with whose answers they are compared to 1e-4; TF32 keeps ten.
NVIDIA's libraries read it; for TensorRT there is no option in its place."""
_TRT_LIBRARIES = ("libnvinfer.so.10", "libnvinfer_plugin.so.10", "libnvonnxparser.so.10")
_MANY = 4


def check_device(device: str, *, tf32: bool = False) -> None:
    """Loads what the device needs. Raises StartupError, naming what is missing, when its provider or a library of it is
    not installed."""
    import onnxruntime

    available = onnxruntime.get_available_providers()
    if PROVIDERS[device] not in available:
        names = [name for name, provider in PROVIDERS.items() if provider in available]
        raise StartupError(
            f"--device {device} needs {PROVIDERS[device]}, which the installed onnxruntime {onnxruntime.__version__} "
            f"lacks (available: {', '.join(available)}; that is --device {' or '.join(names)}); {REMEDY[device]}"
        )
    if device != "cpu":
        if not tf32:
            os.environ[TF32] = "0"
        _load_libraries(device, onnxruntime)


def providers(device: str, *, trt_cache: Path | None, shapes: dict[str, str], tf32: bool) -> list[Any]:
    """Providers with options, the wanted one first. The CPU is not among them: it then takes only what no other can,
    which `check_placement` looks at."""
    cuda = (
        PROVIDERS["cuda"],
        {
            "arena_extend_strategy": "kSameAsRequested",  # powers of two would read as a leak
            "cudnn_conv_algo_search": "HEURISTIC",  # an exhaustive search at every new batch size stalls requests
            "do_copy_in_default_stream": "1",
            "use_tf32": str(int(tf32)),
        },
    )
    if device == "cpu":
        return [PROVIDERS["cpu"]]
    if device == "cuda":
        return [cuda]
    tensorrt = {"trt_max_workspace_size": str(WORKSPACE_BYTES), **shapes}
    if trt_cache is not None:
        try:
            trt_cache.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise StartupError(f"the folder of TensorRT engines {trt_cache} cannot be made: {exc}") from exc
        tensorrt |= {  # this provider knows True and False, and no 1 and 0
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": str(trt_cache),
            "trt_timing_cache_enable": "True",
            "trt_timing_cache_path": str(trt_cache),
        }
    return [(PROVIDERS["tensorrt"], tensorrt), cuda]


def engines_in(folder: str, *, max_batch: int, tf32: bool) -> Path | None:
    """Where TensorRT engines of this kind are kept: one that was built otherwise must not be taken for it."""
    return Path(folder) / f"{'tf32' if tf32 else 'fp32'}-batch-{max_batch}" if folder else None


def check_placement(session: Any, device: str, what: str) -> None:
    """Raises StartupError when the session would compute elsewhere than it was told to. It must have been opened with
    RECORD set."""
    if device == "cpu":
        return
    used = session.get_providers()
    if used[0] != PROVIDERS[device]:
        raise StartupError(f"--device {device} was asked for, ONNX Runtime fell back to {used[0]}; {REMEDY[device]}")
    if not hasattr(session, "get_provider_graph_assignment_info"):
        raise StartupError(
            f"--device {device}: this onnxruntime does not tell what computes where; install 1.27 or later"
        )
    placed: dict[str, Counter[str]] = {}
    for part in session.get_provider_graph_assignment_info():
        placed.setdefault(part.ep_name, Counter()).update(_operators(part))
    if not placed.get(PROVIDERS[device]):
        where = ", ".join(name.removesuffix("ExecutionProvider") for name in placed) or "nothing"
        raise StartupError(
            f"--device {device}: no part of {what} can be computed there, all of it would be on {where} "
            f"({_listed(sum(placed.values(), Counter()))}); use --device {_lesser(placed, device)}"
        )
    left = Counter({name: n for name, n in placed.get(PROVIDERS["cpu"], Counter()).items() if name not in SHAPE_WORK})
    if left:
        raise StartupError(
            f"--device {device}: a part of {what} would be computed on the CPU ({_listed(left)}), which has no "
            f"implementation for {device}; use --device cpu, or another model"
        )


def _load_libraries(device: str, onnxruntime: Any) -> None:
    """Loads what the provider links to, from NVIDIA's Python packages where they are installed. Raises StartupError
    with the first library that is missing."""
    said = io.StringIO()
    if hasattr(onnxruntime, "preload_dlls"):
        with contextlib.redirect_stdout(said):  # it tells of failures on standard output, which is the server's
            onnxruntime.preload_dlls(directory="")
    if device == "tensorrt":
        for path in _packaged_tensorrt():
            with contextlib.suppress(OSError):
                ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    home = Path(onnxruntime.__file__).parent / "capi"
    try:
        ctypes.CDLL(str(home / "libonnxruntime_providers_shared.so"), mode=ctypes.RTLD_GLOBAL)
        for name in ("cuda", "tensorrt")[: 1 if device == "cuda" else 2]:
            ctypes.CDLL(str(home / f"libonnxruntime_providers_{name}.so"))
    except OSError as exc:
        remedy = NO_DRIVER if "libcuda.so" in str(exc) else REMEDY[device]
        raise StartupError(f"--device {device} cannot be used: {exc}; {remedy}") from exc


def _packaged_tensorrt() -> Iterator[Path]:
    """TensorRT as its Python package brings it, in the order in which the libraries need each other."""
    found = importlib.util.find_spec("tensorrt_libs")
    for folder in (found.submodule_search_locations or ()) if found is not None else ():
        yield from (Path(folder) / name for name in _TRT_LIBRARIES)


def _operators(part: Any) -> Iterator[str]:
    for node in part.get_nodes():
        yield f"{node.domain}.{node.op_type}" if node.domain else node.op_type


def in_short(failure: Exception) -> str:
    """Of a failed CUDA call its number and name, without the pages around it."""
    found = re.search(r"CUDA failure \d+: [^;]+", str(failure))
    return str(failure) if found is None else found[0].strip()


def _listed(operators: Counter[str]) -> str:
    named = [f"{count} × {name}" for name, count in operators.most_common(_MANY)]
    return ", ".join([*named, "…"] if len(operators) > _MANY else named)


def _lesser(placed: dict[str, Counter[str]], device: str) -> str:
    """The device that would take it."""
    fits: Sequence[str] = [name for name, provider in PROVIDERS.items() if provider in placed and name != device]
    return " or ".join(fits) or "cpu"
