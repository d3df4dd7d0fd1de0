"""`make mutants`: does a test notice when `analysis/` or `verdict/` is changed by one token?

Draws a seeded sample of all mutants that cosmic-ray's operators can make, puts each into a copy of the library, and
runs the fast tests against it: first those that name the module, then all of tests/analysis and tests/verdict. A
mutant that no test notices survived. Those of equivalent.toml change nothing that could be noticed, and say why.

    python tests/mutation/mutants.py [--count 200] [--seed 1] [--only PART] [--limit 0.10]

Exit code 0 when the share of survivors is below the limit, else 1. A mutant that hangs the tests was noticed.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "harness"
PARTS = ("analysis", "verdict")
SUITES = ("tests/analysis", "tests/verdict")
_PATIENCE_S = 240.0


@dataclass(frozen=True, slots=True)
class Mutant:
    """`code` is the whole module, changed in one place; `was` and `became` are the lines that differ."""

    module: Path
    operator: str
    code: str
    was: str
    became: str


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    known = _equivalent()
    drawn: list[Mutant] = []
    excused = 0
    for mutant in _drawn(options.seed, options.only):
        if len(drawn) == options.count:
            break
        if (mutant.module.relative_to(LIBRARY).as_posix(), mutant.was, mutant.became) in known:
            excused += 1
            continue
        drawn.append(mutant)
    survivors = _survivors(drawn)
    share = len(survivors) / max(1, len(drawn))
    print(f"\n{len(drawn)} mutants (seed {options.seed}), {len(survivors)} survived: {share:.1%}")
    print(f"{excused} more were drawn that equivalent.toml explains")
    return 0 if drawn and share < options.limit else 1


def _drawn(seed: int, only: str) -> Iterator[Mutant]:
    """All mutants, in an order that the seed alone decides. Those that change nothing a run could see are left out:
    annotations are never evaluated here."""
    places = []
    for part in PARTS:
        for module in sorted((LIBRARY / "proofload" / part).glob("*.py")):
            if only in module.as_posix():
                nodes = list(ast_nodes(get_ast(module.read_text())))
                places += [(module, name, number) for name, count in _countable(nodes) for number in range(count)]
    random.Random(seed).shuffle(places)
    for module, name, number in places:
        before = module.read_text()
        code = mutate_code(before, get_operator(name)(), number)
        if code is None or _meaning(code) in {None, _meaning(before)}:
            continue
        was, became = _lines(before, code)
        yield Mutant(module, name, code, was, became)


def _countable(nodes: Sequence[object]) -> Iterator[tuple[str, int]]:
    for name in sorted(operator_names()):
        operator = get_operator(name)
        if not operator.arguments():
            found = operator()
            count = sum(len(list(found.mutation_positions(node))) for node in nodes)
            yield name, count


def _meaning(code: str) -> str | None:
    """The module without annotations and docstrings; None where it is no Python."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
    return ast.dump(tree)


def _lines(before: str, after: str) -> tuple[str, str]:
    removed, added = [], []
    for line in difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""):
        if line.startswith("-") and not line.startswith("---"):
            removed.append(line[1:].strip())
        elif line.startswith("+") and not line.startswith("+++"):
            added.append(line[1:].strip())
    return " ".join(removed), " ".join(added)


def _survivors(drawn: Sequence[Mutant]) -> list[Mutant]:
    survivors = []
    workers = os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="proofload-mutants-") as place:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(workers):
            copies.put(Path(shutil.copytree(LIBRARY, Path(place) / str(number))))
        _must_be_green(copies)
        with ThreadPoolExecutor(workers) as pool:
            for number, (mutant, noticed) in enumerate(pool.map(lambda one: (one, _noticed(one, copies)), drawn)):
                if not noticed:
                    survivors.append(mutant)
                    print(f"survived: {mutant.module.relative_to(LIBRARY)} [{mutant.operator}]", flush=True)
                    print(f"    was:    {mutant.was}\n    became: {mutant.became}", flush=True)
                elif number % 20 == 0:
                    print(f"{number + 1} of {len(drawn)}", file=sys.stderr, flush=True)
    return survivors


def _must_be_green(copies: SimpleQueue[Path]) -> None:
    copy = copies.get()
    if _tests_fail(copy, SUITES):
        raise SystemExit("the tests fail without any mutant: nothing could be told by them")
    copies.put(copy)


def _noticed(mutant: Mutant, copies: SimpleQueue[Path]) -> bool:
    copy = copies.get()
    file = copy / mutant.module.relative_to(LIBRARY)
    before = file.read_text()
    try:
        file.write_text(mutant.code)
        near = _near(mutant.module)
        return bool(near and _tests_fail(copy, near)) or _tests_fail(copy, SUITES)
    finally:
        file.write_text(before)
        copies.put(copy)


def _near(module: Path) -> list[str]:
    """The fast tests that name the module."""
    dotted = ".".join(module.relative_to(LIBRARY).with_suffix("").parts)
    pattern = re.compile(
        rf"\b{re.escape(dotted)}\b|from {re.escape(dotted.rpartition('.')[0])} import .*\b{module.stem}\b"
    )
    files = [path for suite in SUITES for path in sorted((ROOT / suite).rglob("test_*.py"))]
    return [str(path.relative_to(ROOT)) for path in files if pattern.search(path.read_text())]


def _tests_fail(copy: Path, tests: Sequence[str]) -> bool:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not real", *tests]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        ended = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, timeout=_PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return True
    if ended.returncode not in {0, 1, 2, 3, 5}:
        raise SystemExit(f"pytest could not run: {ended.stdout.decode()[-2000:]}")
    return ended.returncode != 0


def _equivalent() -> set[tuple[str, str, str]]:
    tables = tomllib.loads((Path(__file__).parent / "equivalent.toml").read_text())
    listed = tables.get("equivalent", [])
    for one in listed:
        if not one["why"].strip():
            raise SystemExit(f"equivalent.toml: {one['module']}: {one['became']}: it does not say why")
    return {(one["module"], one["was"], one["became"]) for one in listed}


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="only modules whose path contains this")
    parser.add_argument("--limit", type=float, default=0.10)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
