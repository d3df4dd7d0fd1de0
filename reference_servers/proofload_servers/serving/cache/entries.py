"""A prediction as a shared cache holds it: JSON, ["<digest>", <prediction>], the digest over key and prediction.

Whoever may write into that cache may write anything: another program's values, half of one, an answer to another
question. The digest tells. It is no signature: who wants to lie and knows how, can.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import orjson

MOST_BYTES = 65_536
"""A prediction is a number or a class with its score; what is longer is not one."""

_DIGITS = 32


def as_json(prediction: Any) -> bytes | None:
    """None for what would come back otherwise than it went: NaN, a tuple, whatever JSON has no form for."""
    try:
        text = orjson.dumps(prediction)
        same = orjson.loads(text) == prediction
    except (orjson.JSONEncodeError, orjson.JSONDecodeError):
        return None
    return text if same and len(text) + _DIGITS < MOST_BYTES - 8 else None


def packed(key: bytes, text: bytes) -> bytes:
    """The entry of a prediction's JSON."""
    return b'["%b",%b]' % (_digest(key, text), text)


def unpacked(key: bytes, entry: Any) -> Any:
    """The prediction. Raises ValueError for anything that `packed` did not make for this very key."""
    if not isinstance(entry, bytes) or len(entry) > MOST_BYTES:
        raise ValueError("not an entry")
    digest, text = entry[2 : 2 + _DIGITS], entry[4 + _DIGITS : -1]
    if entry != b'["%b",%b]' % (digest, text) or digest != _digest(key, text):
        raise ValueError("not the entry of this key")
    return orjson.loads(text)


def _digest(key: bytes, text: bytes) -> bytes:
    return blake2b(text, digest_size=_DIGITS // 2, key=key).hexdigest().encode()
