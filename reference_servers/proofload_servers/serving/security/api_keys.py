"""API keys: `NAME:KEY` each, one a line or separated by blanks. The name is no secret; limits and logs go by it.

In place of a key its digest may stand, `NAME:sha256=HEX`, so that the file is of no use to who reads it.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from proofload_servers.serving.refusals import StartupError

from .secret_text import API_KEYS

SHORTEST = 16
LONGEST = 512
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DIGEST = re.compile(r"sha256=([0-9a-f]{64})")


class ApiKeys:
    """Only digests are kept, so that a dump of the process shows no key."""

    def __init__(self, text: str) -> None:
        self._digests: dict[str, bytes] = {}
        for number, entry in enumerate(text.split(), start=1):
            name, digest = _read(entry, number)
            if name in self._digests or digest in self._digests.values():
                raise StartupError(f"API key {number} has the name or the key of one before it")
            self._digests[name] = digest
        if not self._digests:
            raise StartupError(f"--auth wants API keys, and there is none; give {API_KEYS}: NAME:KEY each")

    def name_of(self, key: str) -> str | None:
        """Whose key it is. It is compared with all of them, in constant time, whichever it is."""
        digest = hashlib.sha256(key[: LONGEST + 1].encode("utf-8", "replace")).digest()
        found = None
        for name, expected in self._digests.items():
            if hmac.compare_digest(digest, expected):
                found = name
        return found


def api_keys(file: str) -> ApiKeys:
    """Raises StartupError, which tells the number of an entry that is wrong and nothing that stands in it."""
    return ApiKeys(API_KEYS.read(file))


def _read(entry: str, number: int) -> tuple[str, bytes]:
    name, _, key = entry.partition(":")
    if not _NAME.fullmatch(name) or not key:
        raise StartupError(f"API key {number} is not NAME:KEY (a name has letters, digits and ._- only)")
    if hashed := _DIGEST.fullmatch(key):
        return name, bytes.fromhex(hashed[1])
    if not SHORTEST <= len(key) <= LONGEST:
        raise StartupError(f"API key {number} must have {SHORTEST} to {LONGEST} characters, chosen at random")
    return name, hashlib.sha256(key.encode()).digest()
