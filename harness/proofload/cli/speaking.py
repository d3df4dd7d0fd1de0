"""Standard output is for results, standard error for everything else."""

from __future__ import annotations

import sys


def out(text: str) -> None:
    """A line of the result itself."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """A line for a person, whatever standard output is used for."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
