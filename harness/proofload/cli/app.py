"""All commands, and the one place where whatever happened becomes a message and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Annotated, Any

import typer

from proofload.cli import failure
from proofload.cli.claims import claims
from proofload.cli.compare import compare
from proofload.cli.doctor import doctor
from proofload.cli.fixtures import fixtures
from proofload.cli.init import init
from proofload.cli.listings import scenarios, targets
from proofload.cli.locust import locust
from proofload.cli.nightly import nightly
from proofload.cli.report import report
from proofload.cli.run import run
from proofload.cli.selftest import selftest
from proofload.cli.serve import serve
from proofload.cli.speaking import out, say
from proofload.errors import EXIT_INTERRUPTED, EXIT_PASS, ProofloadError

app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})
for command in (
    run,
    compare,
    report,
    targets,
    scenarios,
    doctor,
    fixtures,
    serve,
    selftest,
    claims,
    init,
    locust,
    nightly,
):
    app.command()(command)


def _version(*, wanted: bool) -> None:
    if wanted:
        from proofload import __version__

        out(f"proofload {__version__}")
        raise typer.Exit


@app.callback()
def proofload(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=lambda wanted: _version(wanted=wanted), is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error. Works anywhere.")] = False,
) -> None:
    """Put a proof load on a model server: is it fast, correct and affordable, and how do we know?

    Exit codes: 0 pass, 1 fail, 2 bad input or a target that cannot be started or reached,
    3 inconclusive or invalid measurement, 130 interrupted.
    """


def invoke(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code. Nothing but KeyboardInterrupt's successors gets out."""
    words = [word for word in arguments if word != "--debug"]
    debug = len(words) < len(arguments) or bool(os.environ.get("PROOFLOAD_DEBUG"))
    try:
        with _ended_like_ctrl_c(signal.SIGTERM, signal.SIGHUP):
            code = _dispatched(words or ["--help"])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has seen enough
        _close_quietly()
        return EXIT_PASS
    except (KeyboardInterrupt, typer.Abort) as ending:
        _let_us_choose_the_exit_code()
        say(str(ending) or "interrupted")
        return EXIT_INTERRUPTED
    except ProofloadError as error:
        _trace(wanted=debug)
        failure.show(error)
        return error.exit_code
    except Exception as error:  # noqa: BLE001  the last door: a bug must not look like a verdict
        _trace(wanted=debug)
        if isinstance(error, failure.CLICK_ERROR):
            usage = failure.from_usage(error, words)
            failure.show(usage)
            return usage.exit_code
        told = failure.from_full_disk(error) or failure.from_bug(error, arguments)
        failure.show(told)
        return told.exit_code
    return code


def _dispatched(words: Sequence[str]) -> int:
    commands = typer.main.get_command(app)
    try:
        with commands.make_context("proofload", list(words), obj=list(words)) as context:
            outcome: Any = commands.invoke(context)
    except typer.Exit as leaving:
        return int(leaving.exit_code)
    return outcome if isinstance(outcome, int) else EXIT_PASS


def _trace(*, wanted: bool) -> None:
    if wanted:
        traceback.print_exc()


@contextmanager
def _ended_like_ctrl_c(*numbers: signal.Signals) -> Iterator[None]:
    """A polite request to end stops servers and closes the run folder as Ctrl-C does, and is told by its name."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt(f"interrupted by {signal.Signals(number).name}")

    if threading.current_thread() is not threading.main_thread():  # whoever runs us there handles the signals
        yield
        return
    ours = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]  # nohup's choice stands
    for number in ours:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _let_us_choose_the_exit_code() -> None:
    """Make CPython forget a Ctrl-C that was caught.

    One that falls into an `exec` of source text (every dataclass that is being defined runs one) is noted as unhandled
    and ends the process by SIGINT, whatever exit code it asks for; the next `exec` of source text forgets the note.
    """
    exec("")  # noqa: S102


def _close_quietly() -> None:
    """Python flushes standard output once more at its end, and would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
