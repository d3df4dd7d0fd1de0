"""The front door. One file per command; `app` puts them together, `failure` says what went wrong.

Everything heavy is imported inside the commands, so that `proofload --help` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and leave with its exit code (see errors.py)."""
    from proofload.cli.app import invoke

    sys.exit(invoke(sys.argv[1:] if arguments is None else arguments))
