"""Other load generators with the same request against the same server, pinned to the same core as ours.

They are closed loops: each connection sends as soon as it was answered. What they print is taken as it is.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cores import CLIENT_CORE, pinned
from nginx_server import BODY, PREDICTION

_LUA = """wrk.method = "POST"
wrk.body = {body}
wrk.headers["Content-Type"] = "application/json"
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one tool said of one round; None where it does not say."""

    requests_per_s: float
    p99_ms: float | None
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Peer:
    """A tool, how to get it where it is missing, and one round of it: (url, seconds, connections)."""

    name: str
    available: bool
    missing: str
    measure: Callable[[str, float, int], Reading]
    connections: tuple[int, ...] = (64,)
    """The numbers to try before the rounds; the best is used."""


def peers() -> list[Peer]:
    locust = Path(sys.executable).with_name("locust")
    return [
        Peer(
            "Locust FastHttpUser, answers checked",
            locust.exists(),
            "Locust is missing: pip install locust",
            lambda url, seconds, users: _locust(locust, url, seconds, users, check=True),
            (4, 16, 64),
        ),
        Peer(
            "Locust FastHttpUser, status only",
            locust.exists(),
            "Locust is missing: pip install locust",
            lambda url, seconds, users: _locust(locust, url, seconds, users, check=False),
            (16,),
        ),
        Peer("wrk -t1 (no check)", bool(shutil.which("wrk")), "wrk is missing: apt-get install wrk", _wrk),
        Peer("hey (no check)", bool(shutil.which("hey")), "hey is missing: apt-get install hey", _hey),
    ]


def _locust(program: Path, url: str, seconds: float, users: int, *, check: bool) -> Reading:
    command = [
        *(str(program), "-f", str(Path(__file__).with_name("locust_user.py"))),
        *("--headless", "--skip-log", "--json", "--reset-stats", "--host", _origin(url)),
        *("-u", str(users), "-r", str(users), "-t", f"{seconds + 1:.0f}s"),
    ]
    environment = {"BODY": json.dumps(BODY), "EXPECT": str(PREDICTION), "CHECK": "1" if check else "0"}
    said = _output(command, environment)
    (entry,) = json.loads(said)
    elapsed = entry["last_request_timestamp"] - entry["start_time"]
    return Reading(entry["num_requests"] / elapsed, _percentile(entry["response_times"], 0.99), entry["num_failures"])


def _wrk(url: str, seconds: float, connections: int) -> Reading:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_LUA.format(body=json.dumps(json.dumps(BODY))))
        script.flush()
        said = _output(["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--latency", "-s", script.name, url])
    failed = sum(int(count) for count in re.findall(r"Non-2xx or 3xx responses: (\d+)", said))
    unit = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    p99 = _found(r"99%\s+([\d.]+)(us|ms|s)", said)
    return Reading(float(_found(r"Requests/sec:\s+([\d.]+)", said)[0]), float(p99[0]) * unit[p99[1]], failed)


def _hey(url: str, seconds: float, connections: int) -> Reading:
    said = _output(
        [
            *("hey", "-z", f"{seconds:.0f}s", "-c", str(connections), "-cpus", "1"),
            *("-m", "POST", "-T", "application/json", "-d", json.dumps(BODY), url),
        ]
    )
    answers = re.findall(r"\[(\d+)\]\s+(\d+) responses", said)
    failed = sum(int(count) for status, count in answers if status != "200")
    p99 = float(_found(r"99%+ in ([\d.]+) secs", said)[0]) * 1e3
    return Reading(float(_found(r"Requests/sec:\s+([\d.]+)", said)[0]), p99, failed)


def _output(command: list[str], environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        pinned(CLIENT_CORE, command),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode != 0:
        raise SystemExit(f"{command[0]} failed ({done.returncode}):\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def _found(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text)
    if match is None:
        raise SystemExit(f"no {pattern!r} in what was printed:\n{text[-2000:]}")
    return match.groups()


def _percentile(counts: Mapping[str, int], q: float) -> float:
    """Of Locust's histogram: rounded milliseconds to numbers of requests."""
    left = q * sum(counts.values())
    for value in sorted(counts, key=float):
        left -= counts[value]
        if left <= 0:
            return float(value)
    return float("nan")


def _origin(url: str) -> str:
    return f"http://{urlsplit(url).netloc}"
