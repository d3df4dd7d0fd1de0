"""Servers that age and servers that only seem to, before a quick soak."""

from __future__ import annotations

from collections.abc import Sequence

from proofload.selftest import Case

_QUICK_S = 38
_LONG_S = 420


def create() -> Sequence[Case]:
    return (
        Case("soak", "fastapi", "leak-memory", ("memory-leak",)),
        Case("soak", "fastapi", "leak-memory:per=second", ("memory-leak",), note="told apart from a leak by request"),
        Case("soak", "fastapi", "leak-fd", ("fd-leak",)),
        Case("soak", "flask", "leak-thread", ("thread-leak",)),
        Case("soak", "grpc", "leak-socket", ("socket-leak",)),
        Case("soak", "fastapi", "latency-creep", ("latency-creep",)),
        Case("soak", "fastapi", "sawtooth-memory", note="48 MiB every 8 s, given back each time"),
        Case("soak", "fastapi", "filling-cache", note="40 MB in the first seconds"),
        Case("soak", "fastapi"),
        Case("soak", "flask"),
        Case("soak", "grpc"),
        Case("soak", "kafka"),
        *(_long(target) for target in ("fastapi", "flask", "grpc", "kafka")),
    )


def _long(target: str) -> Case:
    """A healthy server for as long as patience allows, to be judged in windows as long as a quick run."""
    settings = {"duration_s": _LONG_S, "another_s": 0, "idle_s": 0}
    return Case("soak", target, settings=settings, windows_s=_QUICK_S)
