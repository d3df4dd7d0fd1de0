"""`make mutants`: does a test notice when `analysis/` or `verdict/` is changed by one token?

Draws a seeded sample of all mutants that cosmic-ray's operators can make and runs the fast tests against each. The
tests run once without a mutant first, file by file, to see which lines each file executes: a mutant can only be
noticed by a file that executes the statement it changed, so only those run, and of a mutant that no file executes it is
known at once that it survives. Those of equivalent.toml change nothing that could be noticed, and say why.

    python tests/mutation/mutants.py [--count 200] [--seed 1] [--only PART] [--limit 0.10]

Exit code 0 when the share of survivors is below the limit, else 1. What was found is kept in out/mutants/ and holds
until the library or the tests it came from change: an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import hashlib
import json
import multiprocessing
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "harness"
PARTS = ("analysis", "verdict")
SUITES = ("tests/analysis", "tests/verdict")
KEPT = ROOT / "out" / "mutants"

_LOADED_ONCE = ["__main__", "numpy", "scipy.stats", "scipy.signal", "scipy.optimize", "pyarrow", "pydantic", "orjson"]
_LOADED_ONCE += ["pytest", "hypothesis.strategies", "jsonpath_ng.ext", "uvloop"]
"""Each run of tests is a fork of one process that has them: to load them takes longer than most tests."""
_MEMORY_BYTES = 8 * 2**30
_ENDED_TESTS = {0, 1, 2, 3, 5}
_TRIES = 3
"""A run that something else ended tells nothing, and is made again."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """`code` is the whole module, changed in one place; `was` and `became` are the lines that differ; `lines` are
    those of the statement that holds them."""

    module: Path
    operator: str
    code: str
    was: str
    became: str
    lines: frozenset[int]

    @property
    def place(self) -> str:
        return self.module.relative_to(LIBRARY).as_posix()


@dataclass(frozen=True, slots=True)
class TestFile:
    """What one file of tests does without a mutant. `digest` is that of its text."""

    path: str
    digest: str
    executed: Mapping[str, frozenset[int]]
    cpu_s: float


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    known, operators = _equivalent()
    drawn: list[Mutant] = []
    excused = 0
    for mutant in _drawn(options.seed, options.only):
        if len(drawn) == options.count:
            break
        if mutant.operator in operators or (mutant.place, mutant.was, mutant.became) in known:
            excused += 1
            continue
        drawn.append(mutant)
    survivors = _survivors(drawn)
    share = len(survivors) / max(1, len(drawn))
    print(f"\n{len(drawn)} mutants (seed {options.seed}), {len(survivors)} survived: {share:.1%}")
    print(f"{excused} more were drawn that equivalent.toml explains")
    return 0 if drawn and share < options.limit else 1


def _drawn(seed: int, only: str) -> Iterator[Mutant]:
    """All mutants, in an order that the seed decides and that an edit of one module leaves alone in all others.
    Those that change nothing a run could see are left out: annotations are never evaluated here, and a star that makes
    arguments keywords only forbids what nobody does."""
    places = []
    for part in PARTS:
        for module in sorted((LIBRARY / "proofload" / part).glob("*.py")):
            if only in module.as_posix():
                nodes = list(ast_nodes(get_ast(module.read_text())))
                places += [(module, name, number) for name, count in _countable(nodes) for number in range(count)]
    places.sort(key=lambda place: _digest(f"{seed} {place[0].relative_to(LIBRARY)} {place[1]} {place[2]}"))
    for module, name, number in places:
        before = module.read_text()
        code = mutate_code(before, get_operator(name)(), number)
        if code is None or _meaning(code) in {None, _meaning(before)}:
            continue
        was, became, changed = _difference(before, code)
        yield Mutant(module, name, code, was, became, _statement(before, changed))


def _countable(nodes: Sequence[object]) -> Iterator[tuple[str, int]]:
    for name in sorted(operator_names()):
        operator = get_operator(name)
        if not operator.arguments():
            found = operator()
            count = sum(len(list(found.mutation_positions(node))) for node in nodes)
            yield name, count


def _meaning(code: str) -> str | None:
    """The module without annotations, and without what may be passed by position only or by name only; None where it
    is no Python."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.arguments):
            node.defaults = [one for one in (*node.defaults, *node.kw_defaults) if one]
            node.args = [*node.posonlyargs, *node.args, *node.kwonlyargs]
            node.posonlyargs, node.kwonlyargs, node.kw_defaults = [], [], []
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
    return ast.dump(tree)


def _difference(before: str, after: str) -> tuple[str, str, frozenset[int]]:
    """The lines removed, those put in their place, and the numbers of the first, counted from 1."""
    old, new = before.splitlines(), after.splitlines()
    removed: list[str] = []
    added: list[str] = []
    changed: set[int] = set()
    for kind, first, last, start, end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind != "equal":
            removed += (line.strip() for line in old[first:last])
            added += (line.strip() for line in new[start:end])
            changed |= set(range(first + 1, max(last, first + 1) + 1))
    return " ".join(removed), " ".join(added), frozenset(changed)


def _statement(code: str, changed: frozenset[int]) -> frozenset[int]:
    """The changed lines and all others of the smallest statement around each; of one with a body, its head."""
    lines = set(changed)
    statements = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.stmt)]
    for line in changed:
        around = [one for one in statements if _first(one) <= line <= (one.end_lineno or one.lineno)]
        if around:
            smallest = max(around, key=_first)
            body = getattr(smallest, "body", None)
            last = max(smallest.lineno, body[0].lineno - 1) if body else smallest.end_lineno or smallest.lineno
            lines |= set(range(_first(smallest), last + 1))
    return frozenset(lines)


def _first(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(one.lineno for one in decorators)])


def _survivors(drawn: Sequence[Mutant]) -> list[Mutant]:
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    multiprocessing.set_start_method("forkserver")
    multiprocessing.get_context("forkserver").set_forkserver_preload(_LOADED_ONCE)
    KEPT.mkdir(parents=True, exist_ok=True)
    survivors = []
    workers = os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="proofload-mutants-") as place, ThreadPoolExecutor(workers) as pool:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(workers):
            copies.put(Path(shutil.copytree(LIBRARY, Path(place) / str(number))))
        paths = [path.relative_to(ROOT).as_posix() for suite in SUITES for path in (ROOT / suite).rglob("test_*.py")]
        library = _digest(*(path.read_text() for path in sorted((LIBRARY / "proofload").rglob("*.py"))))
        files = list(pool.map(lambda path: _unmutated(path, library, copies), sorted(paths)))
        found = _Found(library, files)
        for number, (mutant, noticed) in enumerate(pool.map(lambda one: (one, _noticed(one, found, copies)), drawn)):
            if not noticed:
                survivors.append(mutant)
                print(f"survived: {mutant.place}:{min(mutant.lines)} [{mutant.operator}]", flush=True)
                print(f"    was:    {mutant.was}\n    became: {mutant.became}", flush=True)
            elif number % 20 == 0:
                print(f"{number + 1} of {len(drawn)}", file=sys.stderr, flush=True)
    return survivors


def _unmutated(path: str, library: str, copies: SimpleQueue[Path]) -> TestFile:
    """Runs the file's tests on the library as it is, unless that was done before."""
    digest = _digest((ROOT / path).read_text())
    told = KEPT / f"{_digest(library, path, digest)}.json"
    if not told.exists():
        copy = copies.get()
        try:
            if _tests_fail(copy, path, told=told):
                raise SystemExit(f"{path} fails without any mutant: nothing could be told by it")
        finally:
            copies.put(copy)
    read = json.loads(told.read_text())
    executed = {module: frozenset(lines) for module, lines in read["executed"].items()}
    return TestFile(path, digest, executed, read["cpu_s"])


def _noticed(mutant: Mutant, found: _Found, copies: SimpleQueue[Path]) -> bool:
    executing = [one for one in found.files if mutant.lines & one.executed.get(mutant.place, frozenset())]
    known = found.of(mutant)
    if known is not None:
        return known
    copy = copies.get()
    file = copy / mutant.place
    before = file.read_text()
    try:
        file.write_text(mutant.code)
        for one in sorted(executing, key=lambda one: (not _names(one, mutant.module), one.cpu_s)):
            if _tests_fail(copy, one.path, cpu_s=20 + 4 * one.cpu_s):
                found.keep(mutant, one)
                return True
        found.keep(mutant, None)
        return False
    finally:
        file.write_text(before)
        copies.put(copy)


def _names(test: TestFile, module: Path) -> bool:
    package = f"proofload.{module.parent.name}"
    pattern = rf"\b{package}\.{module.stem}\b|from {package} import .*\b{module.stem}\b"
    return re.search(pattern, (ROOT / test.path).read_text()) is not None


class _Found:
    """What became of each mutant, on disk. A finding holds while the library is the same and so are the tests that
    made it: the file that noticed the mutant, or all of them where none did."""

    def __init__(self, library: str, files: Sequence[TestFile]) -> None:
        self.files = files
        self._library = library
        self._all = _digest(*(one.digest for one in files))
        self._findings: dict[str, dict[str, Any]] = {}
        self._file = KEPT / "found.jsonl"
        if self._file.exists():
            for line in self._file.read_text().splitlines():
                finding = json.loads(line)
                self._findings[finding["mutant"]] = finding

    def of(self, mutant: Mutant) -> bool | None:
        """None where it has to be tried."""
        finding = self._findings.get(self._key(mutant))
        if finding is None:
            return None
        noticed: str | None = finding["noticed_by"]
        now = {one.path: one.digest for one in self.files}.get(noticed) if noticed else self._all
        return bool(noticed) if finding["tests"] == now else None

    def keep(self, mutant: Mutant, by: TestFile | None) -> None:
        finding = {
            "mutant": self._key(mutant),
            "module": mutant.place,
            "became": mutant.became,
            "noticed_by": by and by.path,
            "tests": by.digest if by else self._all,
        }
        with self._file.open("a") as out:
            out.write(json.dumps(finding) + "\n")

    def _key(self, mutant: Mutant) -> str:
        return _digest(self._library, mutant.place, mutant.code)


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:32]


def _tests_fail(copy: Path, path: str, *, cpu_s: float = 600, told: Path | None = None) -> bool:
    """Tests that used up `cpu_s` of processor time hang: time by the wall would blame a busy machine's on a mutant."""
    for _ in range(_TRIES):
        process = multiprocessing.Process(target=_run_tests, args=(copy, path, cpu_s, told))
        process.start()
        process.join()
        code = process.exitcode
        if code in _ENDED_TESTS or (code is not None and code < 0 and code != -signal.SIGKILL):
            return code not in {0, 5}
    raise SystemExit(f"pytest could not run {path}: it ended with {code}")


def _run_tests(copy: Path, path: str, cpu_s: float, told: Path | None) -> None:
    """In a process of its own. Fails where pytest fails; writes to `told` which lines of the library it executed."""
    import hypothesis
    import pytest

    os.chdir(ROOT)
    sys.path.insert(0, str(copy))
    sys.dont_write_bytecode = True
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_s) + 1, int(cpu_s) + 30))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    hypothesis.settings.register_profile("mutants", derandomize=True, database=None, deadline=None)
    hypothesis.settings.load_profile("mutants")
    executed: dict[str, set[int]] = {}
    if told:
        sys.settrace(_tracer(copy, executed))
    # Assertions are not rewritten: nobody reads their messages, and what is loaded already could not be.
    ordered = ["-x", "-q", "--assert=plain", "--timeout=0", "-p", "no:cacheprovider", "-m", "not real", path]
    code = int(pytest.main(ordered))
    sys.settrace(None)
    if told and code in {0, 5}:
        used = resource.getrusage(resource.RUSAGE_SELF)
        lines = {module: sorted(numbers) for module, numbers in executed.items()}
        half = told.with_suffix(".half")
        half.write_text(json.dumps({"executed": lines, "cpu_s": used.ru_utime + used.ru_stime}))
        half.rename(told)
    os._exit(code)


def _tracer(copy: Path, executed: dict[str, set[int]]) -> Any:
    """For sys.settrace: notes the lines of the modules that are mutated, and follows no others."""
    mutated = {str(copy / "proofload" / part) for part in PARTS}
    followed: dict[str, Any] = {}

    def lines_of(file: str) -> Any:
        if os.path.dirname(file) not in mutated:  # noqa: PTH120 (asked for each file once; no Path is made while tracing)
            return None
        lines = executed.setdefault(os.path.relpath(file, copy), set())

        def trace(frame: FrameType, _event: str, _value: Any) -> Any:
            lines.add(frame.f_lineno)
            return trace

        return trace

    def called(frame: FrameType, _event: str, _value: Any) -> Any:
        file = frame.f_code.co_filename
        if file not in followed:
            followed[file] = lines_of(file)
        if followed[file]:
            followed[file](frame, "call", None)
        return followed[file]

    return called


def _equivalent() -> tuple[set[tuple[str, str, str]], set[str]]:
    """(single mutants, whole operators) that change nothing."""
    tables = tomllib.loads((Path(__file__).parent / "equivalent.toml").read_text())
    single, operators = tables.get("equivalent", []), tables.get("operator", [])
    for one in [*single, *operators]:
        if not one["why"].strip():
            raise SystemExit(f"equivalent.toml: {one}: it does not say why")
    return {(one["module"], one["was"], one["became"]) for one in single}, {one["name"] for one in operators}


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="only modules whose path contains this")
    parser.add_argument("--limit", type=float, default=0.10)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
