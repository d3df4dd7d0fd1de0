"""A program: the lab's recorder takes an hour of samples at 1,000/s out of a ring, as fast as it can.

    python record_an_hour.py FOLDER

Prints one JSON object: resident bytes after each sixth of the hour, and after the folder is closed.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic_ns

import numpy as np

from proofload.engine.recorder import Recorder
from proofload.engine.ring import Ring
from proofload.engine.source import ProcessSource
from proofload.store.folder import RunFolder, claim
from proofload.testing.synthetic_run import START_NS, run_json, segments

SAMPLES, RATE = 3_600_000, 1000.0


def main(out: Path) -> None:
    folder = RunFolder(claim(out), run_json(RATE, SAMPLES / RATE, 1))
    ring = Ring.allocate(1 << 14)
    ours, theirs = socket.socketpair()
    mapping = os.dup(ring.fd)
    recorder = Recorder(folder)
    with subprocess.Popen(["/bin/sleep", "600"]) as engine:  # what the recorder takes for the engine process
        try:
            recorder.attach(ProcessSource(0, engine, ours, ring))
            recorder.start()
            recorder.begin()
            print(json.dumps(fed(recorder, Ring(mapping, ring.capacity), folder, theirs)))
        finally:
            recorder.stop()
            theirs.close()
            engine.kill()


def fed(recorder: Recorder, engine: Ring, folder: RunFolder, control: socket.socket) -> dict[str, list[int]]:
    """Write as the engine process would; resident bytes on the way."""
    engine.intern("version", "1.0.0")
    for kind in ("http-500", "reset", "wrong-answer"):
        engine.intern("error", kind)
    begin_ns = monotonic_ns() - int(SAMPLES / RATE * 1e9)
    sixth, sizes = SAMPLES // 6, []
    for first, rows in segments(SAMPLES, rate_rps=RATE, rng=np.random.default_rng(1)):
        for instant in ("intended_ns", "dispatched_ns", "sent_ns", "done_ns"):
            rows[instant] += begin_ns - START_NS
        for slots, part in engine.slots(first, len(rows)):
            for name, column in engine.arrays.items():
                column[slots] = rows[name][part]
        engine.planned = engine.settled = first + len(rows)
        health = {"event": "health", "worker": 0, "t_ns": monotonic_ns(), "cpu_share": 0.2, "loop_stalls": 0}
        control.sendall((json.dumps(health) + "\n").encode() * 2)
        recorder.flush()
        recorder.live()
        if (first + len(rows)) % sixth == 0:
            sizes.append(resident())
    folder.close()
    return {"running": sizes, "closed": [resident()]}


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
