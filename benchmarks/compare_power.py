"""How often `proofload compare --quick` is right: a server against itself, and against one that takes 15 % longer.

    python benchmarks/compare_power.py [--server waiting|computing] [--kind slower|same] [--first 0] [--runs 20] [...]

Each comparison is a real one, with the settings of --quick, of servers whose service time is known
(tests/comparing/stubs/timed_server.py): "waiting" ones answer after 8 ms, give or take a quarter, and "computing" ones
add numbers for as long. Each start of one draws a factor of its own, 1 % around 1. What is done is not done again: stop
it as you like, and start it again with the same --out. Servers that wait leave the machine idle most of the time: parts
can be done at once, each by a command of its own (--kind, --first). Prints and writes the counts of what was measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from proofload.analysis.shares import two_sided_bounds
from proofload.cli.app import invoke

SERVER = Path(__file__).resolve().parents[1] / "tests" / "comparing" / "stubs" / "timed_server.py"
MS = 8.0
LONGER = 1.15
RATE_RPS = {"waiting": 200, "computing": 40}
"""Low enough that a computing server is idle most of the time: its service time is its own, not a queue's."""
RIGHT = {"slower": {"worse"}, "same": {"equivalent", "inconclusive"}}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--server", choices=sorted(RATE_RPS), default="waiting")
    parser.add_argument("--kind", choices=list(RIGHT), action="append")
    parser.add_argument("--out", type=Path, default=Path("out/compare-power"))
    options = parser.parse_args()
    home = options.out / options.server
    home.mkdir(parents=True, exist_ok=True)
    _write_targets(home, options.server)
    for number in range(options.first, options.runs):
        for kind in options.kind or RIGHT:
            done = home / f"{kind}-{number:02}.json"
            if done.exists():
                continue
            code = _compare(home, kind, number, options.server)
            if code not in {0, 1, 3}:
                print(f"stopped in {kind} {number} (exit code {code}); the same command goes on", file=sys.stderr)
                return code
            print(_counts(home), flush=True)
    print(_counts(home))
    (home / "counts.txt").write_text(_counts(home) + "\n", encoding="utf-8")
    return 0


def _compare(home: Path, kind: str, number: int, server: str) -> int:
    other = {"same": "itself", "slower": "longer"}[kind]
    words = ["compare", "--quick", "--out", str(home / f"{kind}-{number:02}")]
    for name in ("usual", other):
        words += ["--target", str(home / f"{name}.target.toml")]
    words += ["--set", f"rate_rps={RATE_RPS[server]}", "--set", f"seed={1000 * number + 1}"]
    unfinished = home / f"{kind}-{number:02}.partial"
    code = invoke([*words, "--json", str(unfinished)])
    if code in {0, 1, 3} and unfinished.exists():
        unfinished.replace(home / f"{kind}-{number:02}.json")
    return code


def _write_targets(home: Path, server: str) -> None:
    rows = [json.dumps({"body": {"value": value}, "expect": 2 * value}) for value in range(20)]
    (home / "payloads.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    busy = '"--busy", ' if server == "computing" else ""
    for name, factor in (("usual", 1.0), ("itself", 1.0), ("longer", LONGER)):
        (home / f"{name}.target.toml").write_text(
            f'name = "{name}"\n'
            'transport = "http"\n'
            'url = "http://127.0.0.1:{port}/predict"\n'
            'payloads = "payloads.jsonl"\n'
            "[start]\n"
            f'command = ["{{python}}", "{SERVER}", "{{port}}", {busy}"--ms", "{MS * factor:g}", "--jitter", "0.25", '
            '"--spread", "0.01"]\n',
            encoding="utf-8",
        )


def _counts(home: Path) -> str:
    lines = []
    for kind, right in RIGHT.items():
        found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(home.glob(f"{kind}-*.json"))]
        if not found:
            continue
        counts = Counter(one["standing"] for one in found)
        good = sum(counts[standing] for standing in right)
        low, high = two_sided_bounds(good, len(found), 0.95)
        invalid = sum(one["lifetimes"]["invalid"] for one in found)
        attempts = sum(one["lifetimes"]["attempts"] for one in found)
        lines.append(
            f"{home.name}, {kind}: {good} of {len(found)} {' or '.join(sorted(right))} (95 % bounds of the share "
            f"{low:.2f} to {high:.2f}); {dict(counts)}; {invalid} of {attempts} lifetimes invalid, and made again"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
