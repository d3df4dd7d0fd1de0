"""What cells are called on the pages, in files and in links; the same in all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from proofload.nightly.trends import CellKey
from proofload.report.document import Look
from proofload.report.looks import looks
from proofload.report.text import printable

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Names:
    files: Mapping[CellKey, str]
    looks: Mapping[str, Look]
    """Of targets."""

    @staticmethod
    def of(keys: Sequence[CellKey]) -> Names:
        files: dict[CellKey, str] = {}
        for key in keys:
            plain = _UNFIT.sub("-", ".".join(filter(None, key))).strip("-.")[:120] or "cell"
            taken = set(files.values())
            files[key] = next(
                name for number in range(1, 10_000)
                if (name := f"{plain}{'' if number == 1 else f'.{number}'}.html") not in taken
            )  # fmt: skip
        return Names(files, looks([key[1] for key in keys]))

    def link(self, key: CellKey) -> str:
        """From the front page to a cell's."""
        return f"cells/{quote(self.files[key])}"


def label(key: CellKey) -> str:
    """ "load · flask · cpu"."""
    return " · ".join(printable(part, 60) for part in key if part)


def report_link(folder: str, *, up: int) -> str:
    """From a page so many folders below the history's to a run's report."""
    return f"{'../' * up}{quote(folder)}/report.html"
