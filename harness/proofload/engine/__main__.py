"""`python -m proofload.engine CONTROL_FD RING_FD`: one engine process (see worker.py)."""

from __future__ import annotations

import sys

from proofload.engine.worker import main

main(int(sys.argv[1]), int(sys.argv[2]))
