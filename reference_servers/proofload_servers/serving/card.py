"""The model's card, model.json: what the model is called, what it takes and what it gives. Read once, at start."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .refusals import StartupError
from .remote_model import card_folder, fetch_files, is_remote

CARD = "model.json"
MODEL = "model.onnx"
REQUIRED = ("name", "version", "framework", "kind", "files")


@dataclass(frozen=True, slots=True)
class Card:
    """A model on disk. `features` are the schema's entries, `schema_sha256` their hash as the builder wrote it."""

    folder: Path
    name: str
    version: str
    framework: str
    kind: str  # transaction | vector | image
    input: Mapping[str, Any]
    output: Mapping[str, Any]
    features: tuple[Mapping[str, Any], ...]
    schema_sha256: str
    files: Mapping[str, str]  # file name -> sha256 in hexadecimal
    reference: Mapping[str, Any]  # what healthy traffic looks like (see drift), empty where the card does not say
    origin: str = ""  # the address its files are to be fetched from; "": they are there

    @property
    def model_file(self) -> Path:
        return self.folder / MODEL

    def check_files(self) -> None:
        """Raises StartupError when a listed file is missing or its content is not what the card says."""
        if self.origin:
            fetch_files(self.origin, self.folder, self.files)  # which checks them as they come
            return
        for name, expected in self.files.items():
            path = self.folder / name
            if not path.is_file():
                raise StartupError(f"{path} is missing, though {CARD} lists it; build the fixtures again")
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != expected:
                raise StartupError(
                    f"{path} is not the file that {CARD} describes (sha256 {found[:12]}…, expected {expected[:12]}…); "
                    "build the fixtures again"
                )


def card_of(model: str, fixtures: str) -> Card:
    """The card of the model of that name, in that folder or at that address. Raises StartupError."""
    if is_remote(model):
        return replace(read_card(card_folder(model, CARD)), origin=model)
    return read_card(find_model(model, fixtures))


def find_model(name: str, fixtures: str) -> Path:
    """The folder of a model: NAME itself when it is a folder with a card, else FIXTURES/NAME (./fixtures/build)."""
    root = Path(fixtures or "fixtures/build")
    for folder in (Path(name), root / name):
        if (folder / CARD).is_file():
            return folder
    built = sorted(path.parent.name for path in root.glob(f"*/{CARD}"))
    known = f"built there: {', '.join(built)}" if built else "nothing is built there"
    raise StartupError(f"no model {name!r}: neither a folder with {CARD} nor found in {root} ({known})")


def read_card(folder: Path) -> Card:
    """The card in `folder`. Raises StartupError when it is unreadable or incomplete."""
    path = folder / CARD
    try:
        card = json.loads(path.read_bytes())
    except (OSError, ValueError) as exc:
        raise StartupError(f"{path} cannot be read: {exc}") from exc
    missing = [key for key in REQUIRED if not (isinstance(card, dict) and card.get(key))]
    if missing:
        raise StartupError(f"{path} lacks {', '.join(missing)}")
    if MODEL not in card["files"]:
        raise StartupError(f"{path} gives no sha256 of {MODEL}")
    return Card(
        folder=folder,
        name=str(card["name"]),
        version=str(card["version"]),
        framework=str(card["framework"]),
        kind=str(card["kind"]),
        input=card.get("input", {}),
        output=card.get("output", {}),
        features=tuple(card.get("features", ())),
        schema_sha256=str(card.get("schema_sha256", "")),
        files=card["files"],
        reference=card.get("reference", {}),
    )
