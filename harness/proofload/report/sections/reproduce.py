"""How to do it again: the command, the folder with the evidence, and how to read it anew."""

from __future__ import annotations

import shlex

from proofload.report.document import Block, Code, Lines, Note, Section
from proofload.report.sections.page import Page
from proofload.report.text import printable, printable_block


def section(page: Page) -> Section:
    commands = [printable_block(run.result.command, 2000) for run in page.runs if run.result.command]
    blocks: list[Block] = []
    if commands:
        blocks.append(Code("Run it again", "\n".join(dict.fromkeys(commands))))
    else:
        blocks.append(Note("The run recorded no command."))
    folders = " ".join(shlex.quote(printable(run.path, 400)) for run in page.runs)
    blocks.append(Code("Compute this report again from the recorded samples", f"proofload report {folders}"))
    blocks.append(Lines(("Every number above comes from the samples, readings and events in those folders.",)))
    return Section("reproduce", "Reproduce it", tuple(blocks))
