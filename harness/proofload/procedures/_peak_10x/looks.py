"""Looks at the liveness page, closer together than the probe's: a ramp leaves only seconds to see it answer.

A target that names no such page is looked at by its root path, where any answer will do: what is asked is
whether the process still answers anybody.

How busy each core of this host is goes with it: on a target that has to share its cores no verdict may rest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from proofload.clock import MonotonicClock
from proofload.probes._proc import TICKS_PER_S
from proofload.probes.liveness import look
from proofload.procedures import Bench
from proofload.target_model import Target

KEPT = "looks.json"
INTERVAL_S = 0.1
_CORES_EVERY_S = 0.5
_GOOD = range(200, 300)


@contextmanager
def looking(bench: Bench) -> Iterator[None]:
    """While the block lasts; what was seen is kept in the run folder, however the block ends."""
    if bench.target is None:
        yield
        return
    url, any_status = address(bench.target)
    seen: list[tuple[int, float, bool]] = []
    used: list[tuple[int, list[float], float]] = []
    stop = threading.Event()
    threads = [threading.Thread(target=_watch, args=(used, stop), name="cores", daemon=True)]
    if url:
        threads.append(threading.Thread(target=_look, args=(url, any_status, seen, stop), name="looks", daemon=True))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(2.0)
        t_ns, took_ms, ok = zip(*list(seen), strict=True) if seen else ((), (), ())
        at_ns, cores_s, lab_s = zip(*list(used), strict=True) if used else ((), (), ())
        cores = {"t_ns": at_ns, "busy_s": cores_s, "lab_s": lab_s}
        bench.keep(KEPT, orjson.dumps({"t_ns": t_ns, "ms": took_ms, "ok": ok, "cores": cores}))


def address(target: Target | None) -> tuple[str, bool]:
    """Where to look, and whether any status is an answer; empty where there is nowhere to look."""
    if target is None:
        return "", False
    named = target.live_url or target.ready_url
    if named:
        return named, False
    parts = urlsplit(target.url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return "", False
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}/", True


def _look(url: str, any_status: bool, seen: list[tuple[int, float, bool]], stop: threading.Event) -> None:  # noqa: FBT001
    clock = MonotonicClock()
    due = time.monotonic()
    while not stop.wait(max(0.0, due - time.monotonic())):
        due = max(due + INTERVAL_S, time.monotonic())
        began_ns = clock.now_ns()
        try:
            began_ns, took_ms, status = look(url, clock)
        except OSError:  # nobody listens: not alive
            seen.append((began_ns, 0.0, False))
            continue
        seen.append((began_ns, took_ms, status is not None if any_status else status in _GOOD))


def _watch(used: list[tuple[int, list[float], float]], stop: threading.Event) -> None:
    """Seconds that each core of this host was busy since its start, and that the lab itself used."""
    clock = MonotonicClock()
    while not stop.wait(_CORES_EVERY_S):
        used.append((clock.now_ns(), busy_seconds(), time.process_time()))


def busy_seconds() -> list[float]:
    """Per core, in order of their numbers; empty where the host does not tell."""
    try:
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        name, *ticks = line.split()
        if name.startswith("cpu") and name != "cpu":
            user, nice, system, _idle, _wait, irq, soft = (int(tick) for tick in ticks[:7])
            found.append((user + nice + system + irq + soft) / TICKS_PER_S)
    return found


def kept(content: bytes) -> Mapping[str, Any]:
    """What `looking` kept: columns t_ns, ms, ok, and cores: t_ns, busy_s, lab_s. Raises ValueError when damaged."""
    found: Mapping[str, Any] = orjson.loads(content)
    return found
