"""How errors look: what happened, the evidence, the likely cause, the next step. To standard error."""

from __future__ import annotations

import difflib
import errno
import os
import platform
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from proofload.errors import InputError, MeasurementError, ProofloadError

CLICK_ERROR: type[Exception] = typer.BadParameter.__mro__[2]
"""click's ClickException, wherever this version of typer keeps its click."""


_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def show(error: ProofloadError) -> None:
    from rich.console import Console
    from rich.text import Text

    from proofload.report.text import printable_block

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text.assemble(("error: ", "bold red"), printable_block(error.what, 2000)))
    parts = (("evidence", error.evidence), ("likely cause", error.cause), ("next", error.remedy))
    for title, text in parts:
        if text:
            shown = printable_block(text, 6000).replace("\n", "\n    ")
            console.print(Text.assemble((f"  {title}: ", "bold"), shown))


def from_usage(error: Exception, arguments: Sequence[str]) -> InputError:
    """Typer's own complaint about a flag or an argument, in our words, with the nearest that exists."""
    message = str(getattr(error, "message", "") or error).strip().rstrip(".")
    formatted = getattr(error, "format_message", None)
    if callable(formatted):
        message = str(formatted()).strip().rstrip(".")
    context: Any = getattr(error, "ctx", None)
    path = context.command_path if context is not None else " ".join(("proofload", *arguments[:1]))
    seen = getattr(error, "option_name", None)
    if seen is None and message.startswith("No such command"):
        seen = message.split("'")[1] if "'" in message else message.rpartition(" ")[2]
    near = difflib.get_close_matches(str(seen), _known(context), n=1) if seen else []
    message = message.partition(" Did you mean")[0].partition(" (Possible")[0].rstrip(".")
    message = message.replace("Value error, ", "")
    remedy = f"did you mean {near[0]}?" if near else f"`{path} --help` shows what there is"
    return InputError(f"{message[:1].lower()}{message[1:]}", remedy=remedy)


def from_full_disk(error: BaseException) -> MeasurementError | None:
    """What to do when a disk is full or may not be written to; None for any other error."""
    if not isinstance(error, OSError) or error.errno not in _UNWRITABLE:
        return None
    return MeasurementError(
        f"the run could not be recorded: {error.strerror or error}",
        evidence=str(error),
        cause="the disk of the run folder or of the temporary files is full, or may not be written to",
        remedy="free space or name a folder elsewhere with --out; `proofload report DIR` reads what was recorded",
    )


def from_bug(error: Exception, arguments: Sequence[str]) -> MeasurementError:
    """A fault of proofload's own: exit 3, because nothing was learnt about the target."""
    from proofload.cli.command_line import as_typed

    lines = [f"command: {as_typed(arguments)}", f"python: {platform.python_version()}, {platform.platform()}", ""]
    lines += traceback.format_exception(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    return MeasurementError(
        f"this is a bug in proofload: {type(error).__name__}: {error}",
        evidence=f"at {where}; nothing is known about the target",
        remedy=f"report it with {_kept(lines)}; --debug shows the traceback here",
    )


def _kept(lines: Sequence[str]) -> str:
    try:
        number, name = tempfile.mkstemp(prefix="proofload-bug-", suffix=".txt")
        with os.fdopen(number, "w", encoding="utf-8", errors="replace") as file:
            file.write("\n".join(lines))
    except OSError:
        return "the output of the same command with --debug"
    return f"the file {name}"


def _known(context: Any) -> list[str]:
    if context is None:
        return []
    commands = getattr(context.command, "commands", {})
    options = [option for parameter in context.command.params for option in parameter.opts]
    return [*commands, *options]
