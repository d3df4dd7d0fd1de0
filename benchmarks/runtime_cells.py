"""`make cells`: every scenario of the five against every reference server, in containers and as local processes.

    python benchmarks/runtime_cells.py [--scenario S]... [--target T]... [--runtime R]... [--set KEY=VALUE]...
                                       [--out DIR] [--report FILE]

Each cell is one `proofload run SCENARIO --quick --target TARGET --runtime RUNTIME`, with what --set changes. A cell
whose run folder is there already is not run again, so an interrupted table goes on; the verdict is computed from the
folder, by the code as it is now. A scenario does not apply to a target where it is refused in the same words in both
runtimes; a refusal in one of them (no engine, no image, a server that does not come up) leaves its cell not run, and
to be tried again. Exit code 0 when every cell was run or does not apply, 1 when not.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import orjson

from proofload.errors import EXIT_BAD_INPUT

SCENARIOS = ("soak", "peak-10x", "cold-start", "canary-rollback", "skew")
TARGETS = ("flask", "fastapi", "grpc", "kafka")
RUNTIMES = ("container", "process")
_PATIENCE_S = 300.0
_REASON_CHARS = 300
REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Cell:
    """One run, or why there was none."""

    scenario: str
    target: str
    runtime: str
    status: str
    """A verdict; "does not apply", "not run" or, until both runtimes are known, REFUSED, with the reason."""
    why: str
    causes: Sequence[str]


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    runtimes = options.runtime or RUNTIMES
    cells: list[Cell] = []
    for scenario in options.scenario or SCENARIOS:
        for target in options.target or TARGETS:
            row = _told([_cell(options.out, scenario, target, runtime, options.set) for runtime in runtimes])
            for cell in row:
                print(f"{scenario} on {target} as {cell.runtime}: {cell.status}", file=sys.stderr, flush=True)
            cells += row
    text = _table(cells, runtimes, options.set)
    print(text)
    if options.report is not None:
        options.report.write_text(text, encoding="utf-8")
    return 0 if all(cell.status != "not run" for cell in cells) else 1


def _cell(out: Path, scenario: str, target: str, runtime: str, changes: Sequence[str]) -> Cell:
    folder = out / f"{scenario}-{target}-{runtime}"
    if (folder / "result.json").exists():
        _refuse_other_settings(folder, changes)
        subprocess.run([sys.executable, "-m", "proofload", "report", str(folder)], capture_output=True, check=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)  # of an attempt that did not reach its end
        folder.parent.mkdir(parents=True, exist_ok=True)
        words = ["run", scenario, "--quick", "--target", target, "--runtime", runtime, "--out", str(folder)]
        code, said = _ran([*words, *(word for change in changes for word in ("--set", change))])
        if code == EXIT_BAD_INPUT:
            return Cell(scenario, target, runtime, REFUSED, _first_error(said), ())
        if not (folder / "result.json").exists():
            return Cell(scenario, target, runtime, "not run", f"it ended with {code} and no result", ())
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


def _refuse_other_settings(folder: Path, changes: Sequence[str]) -> None:
    """A table says what its cells were set to, so that all of them have to be."""
    command = str(orjson.loads((folder / "run.json").read_bytes())["command"])
    words = shlex.split(command)
    if [value for word, value in pairwise(words) if word == "--set"] != list(changes):
        raise SystemExit(f"{folder} was made with other settings ({command}): give these an --out of their own")


def _ran(words: Sequence[str]) -> tuple[int, str]:
    """(exit code, what it said) of one command; one that takes too long is interrupted, and cleans up."""
    process = subprocess.Popen(
        [sys.executable, "-m", "proofload", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        _, said = process.communicate(timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.terminate()
        _, said = process.communicate()
    return process.returncode, said


def _first_error(said: str) -> str:
    """What happened, of an error as the command line tells it."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    start = next((number for number, line in enumerate(lines) if line.startswith("error")), 0)
    return " ".join(lines[start : start + 2]).removeprefix("error: ")


def _told(row: Sequence[Cell]) -> list[Cell]:
    """What the refused cells of one scenario and target are: inapplicable, or only not run here and now."""
    everywhere = {cell.runtime for cell in row} == set(RUNTIMES)
    alike = {(cell.status, cell.why) for cell in row}
    status = "does not apply" if everywhere and len(alike) == 1 else "not run"
    return [replace(cell, status=status) if cell.status == REFUSED else cell for cell in row]


def _table(cells: Sequence[Cell], runtimes: Sequence[str], changes: Sequence[str]) -> str:
    changed = f" with {', '.join(changes)}" if changes else ""
    lines = [
        "# The same scenarios, in containers and as processes",
        "",
        f"Quick settings{changed}, each cell run once, by `make cells`. Machine and versions stand in the run folders.",
        "",
        f"| scenario | target | {' | '.join(runtimes)} |",
        f"| --- | --- |{' --- |' * len(runtimes)}",
    ]
    by_place = {(cell.scenario, cell.target, cell.runtime): cell for cell in cells}
    for scenario, target in dict.fromkeys((cell.scenario, cell.target) for cell in cells):
        row = [by_place[scenario, target, runtime] for runtime in runtimes]
        lines.append(f"| {scenario} | {target} | {' | '.join(map(_short, row))} |")
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
    parser.add_argument("--runtime", action="append", choices=RUNTIMES)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="wants an --out of its own")
    parser.add_argument("--out", type=Path, default=Path("out/cells"))
    parser.add_argument("--report", type=Path)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
