"""Looks at the liveness page, closer together than the probe's: a ramp leaves only seconds to see it answer.

A target that names no such page is looked at by its root path, where any answer will do: what is asked is
whether the process still answers anybody.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

import orjson

from proofload.clock import MonotonicClock
from proofload.probes.liveness import look
from proofload.procedures import Bench
from proofload.target_model import Target

KEPT = "looks.json"
INTERVAL_S = 0.1
_GOOD = range(200, 300)


@contextmanager
def looking(bench: Bench) -> Iterator[None]:
    """While the block lasts; what was seen is kept in the run folder, however the block ends."""
    url, any_status = address(bench.target)
    if not url:
        yield
        return
    seen: list[tuple[int, float, bool]] = []
    stop = threading.Event()
    thread = threading.Thread(target=_look, args=(url, any_status, seen, stop), name="looks", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(2.0)
        t_ns, took_ms, ok = zip(*list(seen), strict=True) if seen else ((), (), ())
        bench.keep(KEPT, orjson.dumps({"page": url if not any_status else "/", "t_ns": t_ns, "ms": took_ms, "ok": ok}))


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


def kept(content: bytes) -> Mapping[str, list[float]]:
    """What `looking` kept: columns t_ns, ms, ok. Raises ValueError when it is damaged."""
    found = orjson.loads(content)
    return {name: found[name] for name in ("t_ns", "ms", "ok")}
