"""All benchmarks, one table a subject, each against peers measured in the same session on this machine.

    python benchmarks/run_all.py [http|grpc|kafka|report|memory|soak|cache|locust]...

Everything stays on 127.0.0.1 and is stopped at the end. What is missing is named and left out. The exit code is
0 unless a program breaks: a benchmark informs, tests decide. About ten minutes in all.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SUBJECTS: dict[str, tuple[str, list[str]]] = {
    "http": ("http_speed.py", ["--rounds", "2", "--seconds", "4"]),
    "grpc": ("grpc_client_cpu.py", ["--rounds", "3", "--calls", "4000"]),
    "kafka": ("kafka_rate.py", ["--rate", "15000", "--seconds", "6"]),
    "report": ("report_scale.py", []),
    "memory": ("run_memory.py", ["--scenario", "soak"]),
    "soak": ("soak_memory.py", []),
    "cache": ("cache_effect.py", []),
    "locust": ("locust_workers.py", []),
}

_VERDICT = {0: "met", 1: "NOT met, see above"}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subjects", nargs="*", choices=[*SUBJECTS, []], metavar="SUBJECT", help=", ".join(SUBJECTS))
    chosen = parser.parse_args(arguments).subjects or list(SUBJECTS)
    outcome = {}
    for name in chosen:
        program, options = SUBJECTS[name]
        print(f"\n== {name}: benchmarks/{program} {' '.join(options)}", flush=True)
        outcome[name] = subprocess.run(
            [sys.executable, str(Path(__file__).with_name(program)), *options], check=False
        ).returncode
    print("\n== what is asked for")
    for name, code in outcome.items():
        print(f"  {name:<8} {_VERDICT.get(code, f'the program broke ({code})')}")
    return 0 if all(code in _VERDICT for code in outcome.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
