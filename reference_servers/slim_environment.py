"""Takes out of a virtual environment what no server needs at run time: `python slim_environment.py FOLDER`.

Run in the build stage of the images, before the environment is copied, so that nothing removed stays in a layer. Says
for each rule how many bytes it took.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

NOT_NEEDED = {
    "tests of the packages": ("**/tests", "**/test", "numpy/_core/_simd.*.so", "numpy/_core/*_tests.*.so"),
    "for compiling against them": (
        "**/*.pyi",
        "**/*.pyx",
        "**/*.pxd",
        "**/*.h",
        "**/*.a",
        "numpy/f2py",
        "numpy/distutils",
    ),
    "parts for others than these servers": (
        "confluent_kafka/aio",
        "confluent_kafka/avro",
        "confluent_kafka/kafkatest",
        "gunicorn/asgi",
        "packaging/licenses",
        "pydantic/v1",  # for applications that have not moved on
        "werkzeug/debug",
        "grpc/_cython/_credentials",  # certificates of the world's authorities, for callers
    ),
    "making models, not running them": tuple(
        f"onnxruntime/{part}" for part in ("backend", "datasets", "quantization", "tools", "transformers")
    ),
    "ONNX Runtime for C programs (Python's module holds its own copy)": ("onnxruntime/capi/libonnxruntime.so.*",),
    "of numpy what is loaded on demand, which nothing here demands": tuple(
        f"numpy/{part}" for part in ("random", "ma", "fft", "polynomial", "testing", "matlib.py")
    ),
    "compilers of C declarations (what they compiled stays)": ("cffi", "pycparser"),
    "schemas of Kafka messages (needs packages that are not here)": ("confluent_kafka/schema_registry",),
}


def size(path: Path) -> int:
    """Of a file, or of all files below a folder, in bytes."""
    if path.is_dir() and not path.is_symlink():
        return sum(one.lstat().st_size for one in path.rglob("*") if not one.is_dir())
    return path.lstat().st_size


def removed(folder: Path, patterns: tuple[str, ...]) -> int:
    """Removes what matches below `folder`; the bytes that were there."""
    taken = 0
    for pattern in patterns:
        for path in list(folder.glob(pattern)):
            if path.exists():  # a folder above may have gone already
                taken += size(path)
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    return taken


def stripped(library: Path) -> int:
    """Takes out the symbols that loading does not need; the bytes that were there."""
    before = size(library)
    subprocess.run(["strip", "--strip-unneeded", str(library)], check=True)
    return before - size(library)


def main(environment: str) -> None:
    commands = Path(environment) / "bin"
    (packages,) = Path(environment).glob("lib/python3.*/site-packages")
    for reason, patterns in NOT_NEEDED.items():
        print(f"{removed(packages, patterns):>12,} bytes  {reason}")
    others = tuple(one.name for one in commands.iterdir() if not one.match("python*"))
    print(f"{removed(commands, others):>12,} bytes  commands: here, a command is a module")
    # What lies in a folder *.libs was patched when its wheel was made, and does not load any more once it is stripped.
    symbols = sum(stripped(one) for one in packages.glob("**/*.so") if not one.parent.name.endswith(".libs"))
    print(f"{symbols:>12,} bytes  symbols and debugging information")


if __name__ == "__main__":
    main(sys.argv[1])
