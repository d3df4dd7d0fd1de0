"""Two workers of `proofload locust` beside two gevent workers of Locust's own, in one session against one nginx.

    python benchmarks/locust_workers.py [--seconds 4] [--rates 24000 32000 40000]

nginx and the masters run on the highest core; both workers of either kind are pinned to the lowest, so that both have
the same to work with. Every answer is judged by both. Ours are asked for rising rates, each reached when every
request of it ended ok; Locust's users send as fast as they can, with the number of users that does best. Beware: on
one core two engine processes take turns, so what is told of send lag here is that of a crowded machine.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nginx_server
from cores import CLIENT_CORE, SERVER_CORE, apart, pinned
from tables import milliseconds, rate, show

ASKED_RATIO = 5.0
_PATIENCE_S = 90


@dataclass(frozen=True, slots=True)
class Reached:
    """What two workers did together."""

    asked_rps: float | None
    rate_rps: float
    p99_ms: float | None
    not_ok: int
    notes: str
    valid: bool = True
    """What the lab says of ours; Locust has no such word."""


def main(arguments: Sequence[str] | None = None) -> int:
    """1 when what is asked was missed, or could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each measurement")
    parser.add_argument("--rates", type=float, nargs="+", default=[24_000.0, 32_000.0, 40_000.0])
    parser.add_argument("--users", type=int, nargs="+", default=[32, 128], help="of Locust, over both workers")
    options = parser.parse_args(arguments)
    if not nginx_server.available():
        print(f"\nLocust workers were not measured: {nginx_server.MISSING}")
        return 0
    with nginx_server.serving() as url:
        theirs = [locusts_own(url, options.seconds, users) for users in options.users]
        ours: list[Reached] = []
        for asked in options.rates:
            ours.append(engines(url, options.seconds, asked))
            if ours[-1].not_ok:
                break
    return _tell(ours, theirs)


def engines(url: str, seconds: float, asked: float) -> Reached:
    """One run of a master and two workers of ours."""
    with tempfile.TemporaryDirectory(prefix="proofload-bench-") as folder:
        place, port = Path(folder), _free_ports()
        program = [sys.executable, "-m", "proofload", "locust"]
        settings = {"arrival": "constant", "duration_s": seconds, "warmup_s": 0, "timeout_s": 2, "connections": 256}
        master = [
            *(*program, "--master", "--headless", "--expect-workers", "2", "--master-port", str(port)),
            *("--target", url, "--payloads", str(nginx_server.write_payloads(place / "payloads.jsonl"))),
            *("--rate", str(asked), "--out", str(place / "run")),
            *(part for key, value in settings.items() for part in ("--set", f"{key}={value}")),
        ]
        workers = [[*program, "--worker", "--master-port", str(port)]] * 2
        with _working(workers):
            done = subprocess.run(
                pinned(SERVER_CORE, master), capture_output=True, text=True, timeout=_PATIENCE_S, check=False
            )
        if done.returncode not in (0, 1, 3):
            raise SystemExit(f"proofload locust ended with {done.returncode}:\n{done.stderr[-2000:]}")
        result = json.loads((place / "run" / "result.json").read_text(encoding="utf-8"))
    (phase,) = result["phases"]
    ok = phase["outcomes"]["ok"]
    bad = [item["code"] for item in result["validity"] if not item["ok"]]
    lag = result["client"]["send_lag_ms"]["p99"]
    notes = f"send lag p99 {milliseconds(lag)} ms" + (f"; invalid: {', '.join(bad)}" if bad else "")
    return Reached(asked, ok / seconds, phase["latency_ms"]["p99"], phase["planned"] - ok, notes, not bad)


def locusts_own(url: str, seconds: float, users: int) -> Reached:
    """One run of Locust's master and two of its workers, each with half of the users."""
    locust = [sys.executable, "-m", "locust", "-f", str(Path(__file__).with_name("locust_user.py"))]
    port = _free_ports()
    environment = {
        "BODY": json.dumps(nginx_server.BODY),
        "EXPECT": str(nginx_server.PREDICTION),
        "CHECK": "1",
    }
    master = [
        *(*locust, "--master", "--headless", "--expect-workers", "2", "--master-bind-port", str(port)),
        *("--skip-log", "--json", "--reset-stats", "--host", url.partition("/v1/")[0]),
        *("-u", str(users), "-r", str(users), "-t", f"{seconds + 2:.0f}s"),
    ]
    workers = [[*locust, "--worker", "--master-port", str(port), "--skip-log"]] * 2
    with _working(workers, environment):
        done = subprocess.run(
            pinned(SERVER_CORE, master),
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
            env={**os.environ, **environment},
        )
    try:
        (entry,) = json.loads(done.stdout)
    except ValueError as exc:
        raise SystemExit(f"locust ended with {done.returncode}:\n{done.stderr[-2000:]}") from exc
    elapsed = entry["last_request_timestamp"] - entry["start_time"]
    return Reached(None, entry["num_requests"] / elapsed, None, entry["num_failures"], f"{users} users")


def _tell(ours: Sequence[Reached], theirs: Sequence[Reached]) -> int:
    best = max((one for one in ours if not one.not_ok), key=lambda one: one.rate_rps, default=None)
    peer = max(theirs, key=lambda one: one.rate_rps)
    rows = [
        *(("two engine workers", rate(one.asked_rps), rate(one.rate_rps), str(one.not_ok), one.notes) for one in ours),
        *(("two gevent workers", "", rate(one.rate_rps), str(one.not_ok), one.notes) for one in theirs),
    ]
    notes = [note for note in (apart(),) if note]
    if best is None:
        notes.append("no rate was reached by ours: no ratio")
    else:
        ratio = best.rate_rps / peer.rate_rps
        notes.append(f"ours ÷ Locust's own: {ratio:.1f} (asked: at least {ASKED_RATIO:g})")
        trusted = max((one.rate_rps for one in ours if one.valid and not one.not_ok), default=None)
        notes.append(
            "a measurement that the lab calls valid: none at these rates, speed alone is told"
            if trusted is None
            else f"the highest rate of a measurement that the lab calls valid: {rate(trusted)}/s"
        )
    show("Two workers on one core, nginx on another", ("", "asked/s", "ok/s", "not ok", ""), rows, notes)
    return 0 if best is not None and best.rate_rps >= ASKED_RATIO * peer.rate_rps else 1


@contextmanager
def _working(commands: Sequence[list[str]], environment: Mapping[str, str] | None = None) -> Iterator[None]:
    """Workers on the client's core; they end with their master, or with the block."""
    running = [
        subprocess.Popen(
            pinned(CLIENT_CORE, command),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
        )
        for command in commands
    ]
    try:
        yield
    finally:
        for process in running:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.terminate()
                process.wait(15)


def _free_ports() -> int:
    """A free port with a free one above it."""
    while True:
        with socket.socket() as one, socket.socket() as above:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            try:
                above.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


if __name__ == "__main__":
    sys.exit(main())
