"""One run of ours through the lab's own path: `proofload run load --target URL`, every answer checked."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nginx_server import write_payloads
from proofload.clock import NS_PER_MS
from proofload.records import Outcome
from proofload.store.record import RunRecord

ASKED_LAG_MS = 1.0


@dataclass(frozen=True, slots=True)
class Held:
    """What became of a constant rate. `reasons`: why the lab calls the measurement invalid, if it does."""

    rate_rps: float
    goodput_rps: float
    status: str
    reasons: tuple[str, ...]
    send_lag_p99_ms: float
    latency_p99_ms: float
    cpu_share: float
    not_ok: int

    @property
    def faults(self) -> tuple[str, ...]:
        """Why the rate does not count as held; empty: it does."""
        lagging = self.send_lag_p99_ms > ASKED_LAG_MS
        return (
            *self.reasons,
            *(
                [f"send lag p99 was {self.send_lag_p99_ms:.3g} ms, {ASKED_LAG_MS:g} ms are asked for"]
                if lagging
                else ()
            ),
            *([f"{self.not_ok:,} requests did not end ok"] if self.not_ok else ()),
        )


def command(url: str, rate_rps: float, seconds: float, place: Path) -> list[str]:
    """A load run whose folder is place/"run"."""
    payloads = write_payloads(place / "payloads.jsonl")
    settings = {
        "arrival": "constant",
        "rate_rps": rate_rps,
        "duration_s": seconds,
        "warmup_s": 0,
        "timeout_s": 2,
        "connections": 256,
        "slo.p99_ms": 50,
    }
    return [
        *(sys.executable, "-m", "proofload", "run", "load", "--target", url, "--payloads", str(payloads)),
        *(part for key, value in settings.items() for part in ("--set", f"{key}={value}")),
        *("--out", str(place / "run"), "--json", "-"),
    ]


def held(url: str, rate_rps: float, seconds: float) -> Held:
    """One run. The lab's exit code 3 (invalid or inconclusive) is an answer, too."""
    with tempfile.TemporaryDirectory(prefix="proofload-bench-") as folder:
        place = Path(folder)
        done = subprocess.run(
            command(url, rate_rps, seconds, place), capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode not in (0, 1, 3):
            raise SystemExit(f"proofload run ended with {done.returncode}:\n{done.stderr[-2000:]}")
        return read(place / "run", json.loads(done.stdout), rate_rps)


def read(folder: Path, result: dict[str, object], rate_rps: float) -> Held:
    """Validity as the lab judged it; percentiles straight from the samples, of all of them."""
    record = RunRecord(folder)
    samples = record.samples()
    table = samples.table
    ok = int(np.count_nonzero(table["outcome"] == Outcome.OK))
    answered = table["done_ns"] > 0
    return Held(
        rate_rps=rate_rps,
        goodput_rps=ok / record.phases[-1].duration_s,
        status=str(result["status"]),
        reasons=tuple(f"{item.code}: {item.detail}" for item in record.result.validity if not item.ok),
        send_lag_p99_ms=float(np.quantile(samples.send_lag_ns, 0.99)) / NS_PER_MS,
        latency_p99_ms=float(np.quantile(samples.latency_ns[answered], 0.99)) / NS_PER_MS,
        cpu_share=(record.result.client.cpu_share if record.result.client else None) or 0.0,
        not_ok=len(samples) - ok,
    )
