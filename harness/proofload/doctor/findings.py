"""What the doctor finds: one line each, graded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Grade(Enum):
    """How a finding bears on measuring."""

    GOOD = "good"
    NOTE = "note"
    DOUBT = "doubt"
    """Numbers may suffer, or a part is not to be had."""
    BROKEN = "broken"
    """proofload cannot work here."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination. `remedy` is what to do about it."""

    name: str
    grade: Grade
    says: str
    remedy: str = ""


def first_line(path: str) -> str:
    """A file of the system, stripped; empty where it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""
