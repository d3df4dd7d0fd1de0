"""The folder of the pages. It is ours when we found it empty: a list of what was written stands in it from then on, and
nothing else in it is ever removed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from proofload.errors import InputError, RunFolderError
from proofload.store.folder import write_whole

LIST = ".proofload-pages"
_OF_A_CELL = re.compile(r"cells/[^/\0]+\.html")


@dataclass(frozen=True, slots=True)
class Pages:
    folder: Path

    def refuse_foreign(self) -> None:
        """Raises InputError for a folder that holds anything and no list of ours."""
        try:
            held = next(self.folder.iterdir(), None) if self.folder.exists() else None
        except OSError as exc:
            raise InputError(f"the pages cannot be written into {self.folder}", evidence=str(exc),
                             remedy="move it away, or name another folder with --out") from exc  # fmt: skip
        if held is not None and not (self.folder / LIST).is_file():
            raise InputError(
                f"{self.folder} holds something that proofload did not write",
                evidence=f"there is {held.name}, and no {LIST}",
                remedy="move it away, or name another folder with --out",
            )

    def write(self, texts: Mapping[str, str]) -> None:
        """These pages, by their paths within the folder, in place of the earlier ones."""
        self.refuse_foreign()
        earlier = self._listed()
        try:
            self._list({*earlier, *texts})
            for name, text in texts.items():
                path = self.folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, text.encode("utf-8", "replace"))
            for path in (self.folder / name for name in earlier - texts.keys()):
                if path.is_file():
                    path.unlink()
            self._list(texts)
        except OSError as exc:
            raise RunFolderError(f"the pages cannot be written into {self.folder}", evidence=str(exc),
                                 remedy="clear the way, then: proofload nightly --rebuild") from exc  # fmt: skip

    def _listed(self) -> set[str]:
        path = self.folder / LIST
        names = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
        return {name for name in names if _OF_A_CELL.fullmatch(name)}  # a list may have been edited, or be damaged

    def _list(self, names: Collection[str]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / LIST, "".join(f"{name}\n" for name in sorted(names)).encode())


def pages_of(out: Path) -> Pages:
    return Pages(out / "site")
