"""A model that is fetched when the server starts: `--model https://store/models/scorer`, in place of one on its disk.

The address is that of a folder with model.json and the files it lists. The card comes at once, so that a wrong address
is told at once; the files while the server is live and not yet ready. Each must have the digest that the card says, and
the card the one behind the address, where one is given: `…/scorer#sha256=HEX`. Without it, an address that is neither
https nor on this machine is refused: whoever stands between could give another model.
"""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

from .refusals import StartupError
from .security.exposure import is_loopback

SCHEMES = ("http://", "https://")
TIMEOUT_S = 30.0
LARGEST_CARD = 4 * 1024 * 1024
LARGEST_FILE = 8 * 1024**3
CHUNK = 1024 * 1024
_KEPT: list[tempfile.TemporaryDirectory[str]] = []
"""Folders that go when the process ends."""


def is_remote(model: str) -> bool:
    return model.startswith(SCHEMES)


def card_folder(address: str, card: str) -> Path:
    """A folder of this process's own that holds the card, fetched once. Raises StartupError."""
    return _card_folder(address, card, os.getpid())


@functools.cache
def _card_folder(address: str, card: str, _process: int) -> Path:
    parts = urlsplit(address)
    pinned = parts.fragment.removeprefix("sha256=") if parts.fragment else ""
    if not pinned and parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise StartupError(
            f"{_told(address)} comes over plain http from another machine: say https, or what its {card} must be, "
            "ADDRESS#sha256=HEX"
        )
    folder = tempfile.TemporaryDirectory(prefix="proofload-model-")
    _KEPT.append(folder)
    place = Path(folder.name) / card
    _fetch(f"{_base(address)}/{card}", place, pinned, LARGEST_CARD)
    return Path(folder.name)


def fetch_files(address: str, folder: Path, files: Mapping[str, str]) -> None:
    """Everything that the card lists, checked as it comes. Raises StartupError."""
    for name, digest in files.items():
        if Path(name).name != name:
            raise StartupError(f"{_told(address)}: its card lists {name!r}, which is no plain file name")
        _fetch(f"{_base(address)}/{quote(name)}", folder / name, digest, LARGEST_FILE)


def _fetch(url: str, place: Path, sha256: str, most: int) -> None:
    import urllib.error  # with all that HTTP needs, which a server with its model on disk does not
    import urllib.request

    digest, size = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as source, place.open("wb") as file:  # noqa: S310  _base
            while chunk := source.read(CHUNK):
                size += len(chunk)
                if size > most:
                    raise StartupError(f"{_told(url)} is larger than {most} bytes")
                digest.update(chunk)
                file.write(chunk)
    except (OSError, ValueError) as exc:  # of which urllib's own are
        reason = exc.reason if isinstance(exc, urllib.error.URLError) else exc
        raise StartupError(f"{_told(url)} cannot be fetched: {reason}") from exc
    if sha256 and digest.hexdigest() != sha256.lower():
        raise StartupError(
            f"{_told(url)} is not what was asked for (sha256 {digest.hexdigest()[:12]}…, expected {sha256[:12]}…)"
        )


def _base(address: str) -> str:
    """Without what is behind #; always one of SCHEMES, so that no file of this machine is read."""
    if not is_remote(address):
        raise StartupError("a model is fetched over http or https only")
    return address.partition("#")[0].rstrip("/")


def _told(address: str) -> str:
    """Without user, password and query, which may be secret."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
