"""Secrets come from the environment or from a file. There is no flag for one: everybody on a machine sees flags."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from proofload_servers.serving.refusals import StartupError

LARGEST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Secret:
    """Where one may come from: the variable, or the file that the flag names."""

    variable: str
    flag: str

    def __str__(self) -> str:
        return f"{self.flag} or {self.variable}"

    def is_given(self, file: str) -> bool:
        return bool(file) or self.variable in os.environ

    def read(self, file: str) -> str:
        """Its text without blanks around it, "" where it is given nowhere.

        Raises StartupError, which tells the name of the file or the variable, never a part of what is in it.
        """
        if not file:
            return os.environ.get(self.variable, "").strip()
        if self.variable in os.environ:
            raise StartupError(f"{self.variable} and {self.flag} are both given; which of them counts?")
        path = Path(file)
        try:
            if path.stat().st_size > LARGEST_BYTES:
                raise StartupError(f"{self.flag} {file} is too large to be what is asked for")
            return path.read_text(encoding="utf-8").strip()
        except OSError as exc:
            raise StartupError(f"{self.flag} {file} cannot be read: {exc.strerror}") from exc
        except UnicodeDecodeError:
            raise StartupError(f"{self.flag} {file} is not text") from None


API_KEYS = Secret("PROOFLOAD_API_KEYS", "--api-keys-file")
JWT_KEY = Secret("PROOFLOAD_JWT_KEY", "--jwt-key-file")
