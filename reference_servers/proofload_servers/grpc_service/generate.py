"""Makes prediction_pb2.py and .pyi from prediction.proto: `python -m proofload_servers.grpc_service.generate`.

A test makes them anew and compares: what is committed is never stale.
"""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
GENERATED = ("prediction_pb2.py", "prediction_pb2.pyi")


def generate(out: Path) -> int:
    """Writes below `out`, in the package's own folders. The compiler's exit code; it complains to standard error."""
    import grpc_tools
    from grpc_tools import protoc

    bundled = Path(grpc_tools.__file__).parent / "_proto"
    proto = (FOLDER / "prediction.proto").relative_to(ROOT)
    command = ["protoc", f"--proto_path={ROOT}", f"--proto_path={bundled}", f"--python_out={out}", f"--pyi_out={out}"]
    code: int = protoc.main([*command, str(proto)])
    return code


if __name__ == "__main__":
    sys.exit(generate(ROOT))
