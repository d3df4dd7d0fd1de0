"""The ONNX Runtime session, set for serving: few threads, none of them spinning, one provider that is really used.

What a device needs, and that it is really used, is for devices.py. On a GPU a call takes and gives arrays of the host:
the copies are part of what a request costs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .devices import PROVIDERS, RECORD, check_device, check_placement, engines_in, in_short, providers
from .refusals import StartupError

Run = Callable[[NDArray[np.float32]], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Session:
    """`run` takes a batch, (n, …) float32, and gives the one output of the card. Safe from one thread at a time."""

    run: Run
    input_name: str
    output_name: str
    device: str
    runtime: str


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
    tf32: bool = False,
) -> Session:
    """Loads the graph onto the device. Names left out mean the graph's first input and its last output.

    `tf32`: a GPU may compute with fewer bits, faster. Raises StartupError, also when any part that matters would be
    computed elsewhere.
    """
    import onnxruntime

    check_device(device, tf32=tf32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    for pool in ("intra_op", "inter_op"):  # a waiting thread sleeps; the core belongs to whoever has work
        options.add_session_config_entry(f"session.{pool}.allow_spinning", str(int(spinning)))
    if device != "cpu":
        options.add_session_config_entry(RECORD, "1")
    engines = engines_in(trt_cache, max_batch=max_batch, tf32=tf32)
    try:
        shapes = _shape_profile(model_file, input_name, max_batch) if device == "tensorrt" else {}
        session = onnxruntime.InferenceSession(
            model_file.read_bytes() if device == "cpu" else str(model_file),
            options,
            providers=providers(device, trt_cache=engines, shapes=shapes, tf32=tf32),
            enable_fallback=0,  # nor may a call that fails be made again on the CPU
        )
    except StartupError:
        raise
    except Exception as exc:  # ONNX Runtime raises a dozen unrelated types
        raise StartupError(f"{model_file} does not load on {device}: {in_short(exc)}") from exc
    check_placement(session, device, str(model_file))

    inputs = {node.name: node for node in session.get_inputs()}
    outputs = [node.name for node in session.get_outputs()]
    name_in = input_name or next(iter(inputs))
    name_out = output_name or outputs[-1]
    if name_in not in inputs or len(inputs) != 1 or name_out not in outputs:
        raise StartupError(f"{model_file} has inputs {list(inputs)} and outputs {outputs}, not {name_in} -> {name_out}")

    def run(batch: NDArray[np.float32]) -> NDArray[Any]:
        (output,) = session.run([name_out], {name_in: batch})
        return np.asarray(output)

    runtime = f"onnxruntime {onnxruntime.__version__}" + (" with TF32" if tf32 and device != "cpu" else "")
    return Session(run, name_in, name_out, device, runtime)


def _shape_profile(model_file: Path, input_name: str | None, max_batch: int) -> dict[str, str]:
    """One TensorRT optimisation profile for batches of 1 to `max_batch`: no size then builds an engine anew. Empty
    where rows have no fixed shape."""
    import onnxruntime

    reader = onnxruntime.InferenceSession(str(model_file), providers=[PROVIDERS["cpu"]])
    node = next(node for node in reader.get_inputs() if input_name in {None, node.name})
    if not all(isinstance(size, int) for size in node.shape[1:]):
        return {}
    rest = "x".join(str(size) for size in node.shape[1:])
    return {
        "trt_profile_min_shapes": f"{node.name}:1x{rest}",
        "trt_profile_opt_shapes": f"{node.name}:{max_batch}x{rest}",
        "trt_profile_max_shapes": f"{node.name}:{max_batch}x{rest}",
    }
