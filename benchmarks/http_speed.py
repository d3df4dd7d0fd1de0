"""HTTP on one core: ours at constant rates beside Locust, wrk and hey, in one session against one nginx.

    python benchmarks/http_speed.py [--rounds 3] [--seconds 5]

nginx serves on the highest core; every client is pinned to the lowest. First 25,000/s is asked of ours, then
rising rates until one is not held; a rate is held when the lab calls the measurement valid, send lag p99 is
within 1 ms and every answer was right. Then rounds: ours at the highest rate held, each peer as fast as it
goes. Ratios are of medians; rounds in which ours did not hold its rate give no speed. Beware of comparing p99:
a closed loop sends no request while it waits, so it sees less.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence

import nginx_server
from cores import apart
from http_peers import Peer, Reading, peers
from our_engine import Held, held
from tables import milliseconds, rate, show

ASKED_RPS = 25_000.0
ASKED_RATIO = 4.0
_STEPS = (1.4, 1.8, 2.2, 2.6, 2.9, 3.2, 3.5, 3.8, 4.1)
"""Multiples of ASKED_RPS that are tried, until one is not held."""

_BACK = 0.85
"""What of the rate is asked for after a round that did not hold it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """1 when what is asked was missed, or could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement")
    options = parser.parse_args(arguments)
    if not nginx_server.available():
        print(f"\nHTTP speed was not measured: {nginx_server.MISSING}")
        return 0
    with nginx_server.serving() as url:
        return compare(url, options.rounds, options.seconds)


def compare(url: str, rounds: int, seconds: float) -> int:
    asked = _attempt(url, ASKED_RPS, seconds)
    highest = asked if asked is None else _highest(url, asked, seconds)
    present = [peer for peer in peers() if peer.available]
    connections = {peer.name: _best_connections(peer, url) for peer in present}
    ours: list[Held] = []
    theirs: dict[str, list[Reading]] = {peer.name: [] for peer in present}
    for _ in range(rounds):
        if highest is not None:
            ours.append(held(url, highest.rate_rps * _BACK ** sum(bool(one.faults) for one in ours), seconds))
        for peer in present:
            theirs[peer.name].append(peer.measure(url, seconds, connections[peer.name]))
    return _tell(asked, highest, ours, theirs, connections)


def _attempt(url: str, rate_rps: float, seconds: float) -> Held | None:
    """The rate as it was held, at the third try if need be: other work on the machine spoils a round."""
    for _ in range(3):
        found = held(url, rate_rps, seconds)
        if not found.faults:
            return found
        print(f"  {rate_rps:,.0f}/s not held: {'; '.join(found.faults)}", flush=True)
    return None


def _highest(url: str, asked: Held, seconds: float) -> Held:
    highest = asked
    for step in _STEPS:
        found = _attempt(url, ASKED_RPS * step, seconds)
        if found is None:
            break
        highest = found
    return highest


def _best_connections(peer: Peer, url: str) -> int:
    if len(peer.connections) == 1:
        return peer.connections[0]
    return max(peer.connections, key=lambda number: peer.measure(url, 2.0, number).requests_per_s)


def _tell(
    asked: Held | None,
    highest: Held | None,
    ours: Sequence[Held],
    theirs: dict[str, list[Reading]],
    connections: dict[str, int],
) -> int:
    again = [one for one in ours if not one.faults]
    best = statistics.median(one.goodput_rps for one in again) if again else None
    rows = []
    if asked is not None:
        rows.append(_our_row("proofload, 25,000/s asked", [asked], asked.goodput_rps, best))
    if highest is not None:
        rows.append(_our_row(f"proofload, from {highest.rate_rps:,.0f}/s down", ours, best, best))
    for name, readings in theirs.items():
        speed = statistics.median(one.requests_per_s for one in readings)
        tail = [one.p99_ms for one in readings if one.p99_ms is not None]
        failed = sum(one.failed for one in readings)
        rows.append(
            [
                f"{name}, {connections[name]} connections",
                rate(speed),
                f"{best / speed:.2f}" if best else "",
                "",
                milliseconds(statistics.median(tail) if tail else None),
                "" if not failed else f"{failed:,} failed",
            ]
        )
    notes = [note for note in (apart(), *(peer.missing for peer in peers() if not peer.available)) if note]
    checked = next((readings for name, readings in theirs.items() if "checked" in name), None)
    fast = asked is not None and bool(checked) and best is not None
    if checked and best:
        ratio = best / statistics.median(one.requests_per_s for one in checked)
        fast = fast and ratio >= ASKED_RATIO
        notes.append(f"ours ÷ Locust, both checking answers: {ratio:.2f} (asked: at least {ASKED_RATIO:g})")
    notes.append(f"valid at {ASKED_RPS:,.0f}/s with send lag p99 ≤ 1 ms: {'yes' if asked else 'NO'}")
    show(
        "HTTP against nginx, client on one core (medians)",
        ["client", "req/s", "ours ÷ it", "send lag p99 ms", "latency p99 ms", "remarks"],
        rows,
        notes,
    )
    return 0 if fast else 1


def _our_row(name: str, runs: Sequence[Held], speed: float | None, best: float | None) -> list[str]:
    good = [one for one in runs if not one.faults]
    return [
        name,
        rate(speed),
        f"{best / speed:.2f}" if best and speed else "",
        milliseconds(statistics.median(one.send_lag_p99_ms for one in good or runs)),
        milliseconds(statistics.median(one.latency_p99_ms for one in good or runs)),
        f"held {len(good)} of {len(runs)} times, CPU {statistics.median(one.cpu_share for one in good or runs):.0%}",
    ]


if __name__ == "__main__":
    sys.exit(main())
