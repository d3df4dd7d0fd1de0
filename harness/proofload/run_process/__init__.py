"""One run, as `proofload run` in a process of its own.

How pytest and nights run. pytest's process is no place to measure from: plug-ins patch the standard library (locust's
does), trace every line (coverage) or turn warnings into errors. What is run is what a person would type, and can be
typed again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from proofload.errors import EXIT_FAIL, EXIT_NO_VERDICT, EXIT_PASS
from proofload.records import Result

_ENDING_S = 60.0
_TRACERS = ("COV_CORE_", "COVERAGE_PROCESS_", "PYTEST_")


class RunError(Exception):
    """There is no result: the message is what `proofload run` said."""


@dataclass(frozen=True, slots=True)
class Command:
    """What `proofload run` is to be told. Names and files are looked up from `folder`."""

    folder: Path
    scenario: str
    out: Path
    quick: bool
    target: str | None = None
    settings: Sequence[str] = ()
    others: Mapping[str, str] = field(default_factory=dict)
    """Flags that take a value, without their dashes: {"device": "cuda"}."""

    def words(self) -> list[str]:
        words = ["run", self.scenario]
        for name, value in {"target": self.target, **self.others}.items():
            if value is not None:
                words += [f"--{name}", value]
        for setting in self.settings:
            words += ["--set", setting]
        return [*words, *(["--quick"] if self.quick else []), "--out", str(self._shown_out())]

    def _shown_out(self) -> Path:
        return self.out.relative_to(self.folder) if self.out.is_relative_to(self.folder) else self.out

    def typed(self) -> str:
        """As a person types it, without secrets."""
        from proofload.cli.command_line import as_typed

        return as_typed(self.words())


def measured(command: Command) -> Result:
    """Run it, and give its result; what it says on the way goes to standard error. Raises RunError."""
    from proofload.errors import ProofloadError
    from proofload.store.result_json import result_from_json

    code, said = _ran(command)
    result = command.out / "result.json"
    if code not in {EXIT_PASS, EXIT_FAIL, EXIT_NO_VERDICT} or not result.is_file():
        raise RunError(f"{_error_in(said) or f'exit status {code}'}\nagain: {command.typed()}")
    import orjson

    try:
        return result_from_json(orjson.loads(result.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, ProofloadError) as exc:
        raise RunError(f"{result} cannot be read: {exc}") from exc


def _ran(command: Command) -> tuple[int, str]:
    """Exit status and everything it said. Whatever happens here, it is not left running."""
    arguments = [sys.executable, "-P", "-m", __name__, *command.words()]
    sys.stderr.write(f"$ {command.typed()}\n")
    process = subprocess.Popen(
        arguments,
        cwd=command.folder,
        env=_environment(),
        stdin=subprocess.PIPE,  # it ends when this closes
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        process_group=0,  # Ctrl-C reaches it through us, once
    )
    assert process.stdout is not None
    assert process.stdin is not None
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            sys.stderr.write(line)
        return process.wait(), "".join(said)
    finally:
        _end(process)
        process.stdin.close()
        process.stdout.close()


def _end(process: subprocess.Popen[str]) -> None:
    """Asked to end, it stops its servers and closes the run folder; killed, its watchdog stops them."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=_ENDING_S)
        except BaseException as exc:
            process.kill()
            process.wait()
            if not isinstance(exc, subprocess.TimeoutExpired):
                raise


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_TRACERS)}
    return {**kept, "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"}


def _error_in(said: str) -> str:
    """From its error on: what happened, evidence, likely cause, next step."""
    lines = said.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    return "\n".join(lines[starts[-1] :] if starts else lines[-12:])
