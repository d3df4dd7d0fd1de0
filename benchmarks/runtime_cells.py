"""`make cells`: every scenario of the five against every reference server, in containers and as local processes.

    python benchmarks/runtime_cells.py [--scenario S]... [--target T]... [--out out/cells] [--report FILE]

Each cell is one `proofload run SCENARIO --quick --target TARGET --runtime RUNTIME`. A cell whose run folder is there
already is not run again, so an interrupted table goes on; the verdict is computed from the folder, by the code as it
is now. Exit code 0 when every cell of the table was run or says why it cannot be.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

SCENARIOS = ("soak", "peak-10x", "cold-start", "canary-rollback", "skew")
TARGETS = ("flask", "fastapi", "grpc", "kafka")
RUNTIMES = ("container", "process")
_PATIENCE_S = 300.0
_REASON_CHARS = 300
_REFUSED = 2
"""Exit code of a run that cannot be: bad input, or a target that cannot be started."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One run, or why there was none."""

    scenario: str
    target: str
    runtime: str
    status: str
    """A verdict; "does not apply" with the reason; "not run" with the reason."""
    why: str
    causes: Sequence[str]


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    cells = []
    for scenario in options.scenario or SCENARIOS:
        for target in options.target or TARGETS:
            for runtime in RUNTIMES:
                cell = _cell(options.out, scenario, target, runtime)
                print(f"{scenario} on {target} as {runtime}: {cell.status}", file=sys.stderr, flush=True)
                cells.append(cell)
    text = _table(cells)
    print(text)
    if options.report is not None:
        options.report.write_text(text, encoding="utf-8")
    return 0 if all(cell.status != "not run" for cell in cells) else 1


def _cell(out: Path, scenario: str, target: str, runtime: str) -> Cell:
    folder = out / f"{scenario}-{target}-{runtime}"
    refusal = folder.with_suffix(".refused")
    if not (folder / "result.json").exists() and not refusal.exists():
        shutil.rmtree(folder, ignore_errors=True)  # of an attempt that did not reach its end
        folder.parent.mkdir(parents=True, exist_ok=True)
        command = ["run", scenario, "--quick", "--target", target, "--runtime", runtime, "--out", str(folder)]
        ended = subprocess.run(
            [sys.executable, "-m", "proofload", *command],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
        if ended.returncode == _REFUSED:
            refusal.write_text(ended.stderr, encoding="utf-8")
    if refusal.exists():
        said = refusal.read_text(encoding="utf-8")
        return Cell(scenario, target, runtime, "does not apply", _first_error(said), ())
    if not (folder / "result.json").exists():
        return Cell(scenario, target, runtime, "not run", "it ended without a result", ())
    subprocess.run([sys.executable, "-m", "proofload", "report", str(folder)], capture_output=True, check=True)
    result = orjson.loads((folder / "result.json").read_bytes())
    status = result["status"]
    failed = [check for check in result["checks"] if check["status"] == status]
    if status == "pass":
        why = ""
    elif status == "invalid":
        why = "; ".join(item["detail"] for item in result["validity"] if not item["ok"])
    else:
        why = "; ".join(f"{check['name']}: {check['evidence']}" for check in failed)
    causes = list(dict.fromkeys(check["cause"] for check in failed if check.get("cause")))
    return Cell(scenario, target, runtime, status, why, causes)


def _first_error(said: str) -> str:
    """What happened, of an error as the command line tells it."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    start = next((number for number, line in enumerate(lines) if line.startswith("error")), 0)
    return " ".join(lines[start : start + 2]).removeprefix("error: ")


def _table(cells: Sequence[Cell]) -> str:
    lines = [
        "# The same scenarios, in containers and as processes",
        "",
        "Quick settings, each cell run once, by `make cells`. Machine and versions stand in the run folders.",
        "",
        "| scenario | target | container | process |",
        "| --- | --- | --- | --- |",
    ]
    by_place = {(cell.scenario, cell.target, cell.runtime): cell for cell in cells}
    for scenario, target in dict.fromkeys((cell.scenario, cell.target) for cell in cells):
        pair = [by_place[scenario, target, runtime] for runtime in RUNTIMES]
        lines.append(f"| {scenario} | {target} | {' | '.join(map(_short, pair))} |")
    told = [cell for cell in cells if cell.why]
    if told:
        lines += ["", "## Why a cell is not a pass", ""]
        lines += [f"- {one.scenario} on {one.target}, {one.runtime}: {one.status}: {_plain(one.why)}" for one in told]
    return "\n".join(lines) + "\n"


def _short(cell: Cell) -> str:
    return cell.status + (f" ({', '.join(cell.causes)})" if cell.causes else "")


def _plain(text: str) -> str:
    one_line = " ".join(text.split()).replace("|", "/")
    return one_line if len(one_line) <= _REASON_CHARS else one_line[:_REASON_CHARS] + " …"


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenario", action="append", choices=SCENARIOS)
    parser.add_argument("--target", action="append", choices=TARGETS)
    parser.add_argument("--out", type=Path, default=Path("out/cells"))
    parser.add_argument("--report", type=Path)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
