"""The ONNX Runtime session, set for serving: few threads, none of them spinning, one provider that is really used.

ONNX Runtime falls back to the CPU in silence when a provider cannot be loaded. A server that was asked for a GPU and
answers from the CPU is a wrong measurement, so what the session reports is compared with what was asked for.

The CUDA and TensorRT options are complete but unverified: this file has been run on the CPU only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .refusals import StartupError

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
REMEDY = {
    "cuda": "install the GPU set-up (onnxruntime-gpu with CUDA 13 and cuDNN 9) or use --device cpu",
    "tensorrt": "install onnxruntime-gpu with TensorRT 10 (libnvinfer.so.10) or use --device cuda or cpu",
    "cpu": "reinstall onnxruntime",
}
GPU_WORKSPACE_BYTES = 1 << 30

Run = Callable[[NDArray[np.float32]], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Session:
    """`run` takes a batch, (n, …) float32, and gives the one output of the card. Safe from one thread at a time."""

    run: Run
    input_name: str
    output_name: str
    item_shape: tuple[int, ...]  # of one row; a dimension the graph leaves open is -1
    device: str
    runtime: str


def check_device(device: str) -> None:
    """Raises StartupError, naming what there is, when this ONNX Runtime was built without the device's provider."""
    import onnxruntime

    available = onnxruntime.get_available_providers()
    if PROVIDERS[device] not in available:
        names = [name for name, provider in PROVIDERS.items() if provider in available]
        raise StartupError(
            f"--device {device} needs {PROVIDERS[device]}, which the installed onnxruntime {onnxruntime.__version__} "
            f"lacks (available: {', '.join(available)}; that is --device {' or '.join(names)}); {REMEDY[device]}"
        )


def open_session(
    model_file: Path,
    *,
    device: str,
    threads: int,
    max_batch: int,
    input_name: str | None = None,
    output_name: str | None = None,
    trt_cache: str = "",
    spinning: bool = False,
) -> Session:
    """Loads the graph onto the device. Names left out mean the graph's first input and its last output."""
    import onnxruntime

    check_device(device)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    for pool in ("intra_op", "inter_op"):  # a waiting thread sleeps; the core belongs to whoever has work
        options.add_session_config_entry(f"session.{pool}.allow_spinning", str(int(spinning)))
    try:
        shapes = _shape_profile(model_file, input_name, max_batch) if device == "tensorrt" else {}
        session = onnxruntime.InferenceSession(
            model_file.read_bytes() if device == "cpu" else str(model_file),
            options,
            providers=_providers(device, trt_cache, shapes),
        )
    except Exception as exc:  # ONNX Runtime raises a dozen unrelated types
        raise StartupError(f"{model_file} does not load on {device}: {exc}") from exc
    used = session.get_providers()
    if used[0] != PROVIDERS[device]:
        raise StartupError(f"--device {device} was asked for, ONNX Runtime fell back to {used[0]}; {REMEDY[device]}")

    inputs = {node.name: node for node in session.get_inputs()}
    outputs = [node.name for node in session.get_outputs()]
    name_in = input_name or next(iter(inputs))
    name_out = output_name or outputs[-1]
    if name_in not in inputs or len(inputs) != 1 or name_out not in outputs:
        raise StartupError(f"{model_file} has inputs {list(inputs)} and outputs {outputs}, not {name_in} -> {name_out}")
    shape = tuple(size if isinstance(size, int) else -1 for size in inputs[name_in].shape[1:])

    def run(batch: NDArray[np.float32]) -> NDArray[Any]:
        (output,) = session.run([name_out], {name_in: batch})
        return np.asarray(output)

    return Session(run, name_in, name_out, shape, device, f"onnxruntime {onnxruntime.__version__}")


def _providers(device: str, trt_cache: str, shapes: dict[str, str]) -> list[Any]:
    """Providers with options, the wanted one first. Unverified beyond the CPU."""
    cuda = (
        PROVIDERS["cuda"],
        {
            "arena_extend_strategy": "kSameAsRequested",  # powers of two would read as a leak
            "cudnn_conv_algo_search": "HEURISTIC",  # an exhaustive search at every new batch size stalls requests
            "do_copy_in_default_stream": "1",
        },
    )
    if device == "cpu":
        return [PROVIDERS["cpu"]]
    if device == "cuda":
        return [cuda, PROVIDERS["cpu"]]
    tensorrt: dict[str, str] = {"trt_max_workspace_size": str(GPU_WORKSPACE_BYTES), **shapes}
    if trt_cache:
        Path(trt_cache).mkdir(parents=True, exist_ok=True)
        tensorrt |= {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": trt_cache,
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": trt_cache,
        }
    return [(PROVIDERS["tensorrt"], tensorrt), cuda, PROVIDERS["cpu"]]


def _shape_profile(model_file: Path, input_name: str | None, max_batch: int) -> dict[str, str]:
    """One TensorRT optimisation profile for batches of 1 to `max_batch`: no size then builds an engine anew."""
    import onnxruntime

    reader = onnxruntime.InferenceSession(str(model_file), providers=[PROVIDERS["cpu"]])
    node = next(node for node in reader.get_inputs() if input_name in {None, node.name})
    rest = "x".join(str(size) for size in node.shape[1:])
    return {
        "trt_profile_min_shapes": f"{node.name}:1x{rest}",
        "trt_profile_opt_shapes": f"{node.name}:{max_batch}x{rest}",
        "trt_profile_max_shapes": f"{node.name}:{max_batch}x{rest}",
    }
