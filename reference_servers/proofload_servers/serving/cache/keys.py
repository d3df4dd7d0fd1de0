"""Keys: equal where the same model gets the same numbers, different everywhere else.

What is hashed is what the model is given, not what the caller sent: the row after validation and feature computation,
in the model's own order and precision. So neither the order of a request's members nor a number's spelling (1, 1.0,
1e0) makes a difference, and everything that can make one for the model does, 0.0 and -0.0 included. The model is told
apart by all of its card, the digests of its files among it, and by what computes it.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from proofload_servers.serving.features import canonical_sha256

if TYPE_CHECKING:
    from proofload_servers.serving.card import Card
    from proofload_servers.serving.kinds import Kind

KeyOf = Callable[[Any], bytes]
"""The row of a kind of model -> its key."""

BYTES = 32
"""Long enough that nobody finds two rows with one key, even one who may choose the rows and tries for years."""

FORMAT = 1
"""To be raised when the same key would mean something else."""


def keys_of(card: Card, kind: Kind, *, device: str, runtime: str) -> KeyOf:
    """The keys of one model on one device: two devices or runtimes may differ in their last digits."""
    about = {
        "format": FORMAT,
        "name": card.name,
        "version": card.version,
        "framework": card.framework,
        "kind": card.kind,
        "input": dict(card.input),
        "output": dict(card.output),
        "features": [dict(feature) for feature in card.features],
        "schema_sha256": card.schema_sha256,
        "files": dict(card.files),
        "device": device,
        "runtime": runtime,
    }
    of_model = blake2b(bytes.fromhex(canonical_sha256(about)), digest_size=BYTES)
    identity = kind.identity

    def key_of(row: Any) -> bytes:
        hashed = of_model.copy()  # of fixed length, so that no model's end can pass for a row's beginning
        hashed.update(identity(row))
        return hashed.digest()

    return key_of
