"""Small images: 32×32 RGB bytes in, enlarged and normalised on the batching thread, the best class out."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload_servers.serving import images
from proofload_servers.serving.card import Card
from proofload_servers.serving.refusals import InvalidInput

LONGEST_BASE64 = 4 * ((images.BYTES + 2) // 3)


class ImageKind:
    """`image`: base64 of 32×32×3 bytes, or the bytes themselves where the protocol carries bytes."""

    member = "image"

    def __init__(self, card: Card) -> None:
        del card  # nothing in it that the bytes themselves do not say

    def prepare(self, given: Any) -> bytes:
        if isinstance(given, str):
            if len(given) > LONGEST_BASE64:
                raise InvalidInput(f"image must be base64 of {images.BYTES} bytes; this is too long")
            try:
                given = base64.b64decode(given, validate=True)
            except (binascii.Error, ValueError):
                raise InvalidInput("image must be base64") from None
        if not isinstance(given, bytes):
            raise InvalidInput("image must be base64 text")
        if len(given) != images.BYTES:
            raise InvalidInput(f"image must be {images.SIDE}×{images.SIDE}×3 = {images.BYTES} bytes, not {len(given)}")
        return given

    def identity(self, row: bytes) -> bytes:
        return row

    def explain(self, row: bytes) -> Mapping[str, Any]:  # noqa: ARG002  pixels have no names
        return {}

    def stack(self, rows: Sequence[bytes]) -> NDArray[np.float32]:
        return np.stack([images.to_tensor(row) for row in rows])

    def predictions(self, outputs: NDArray[Any]) -> list[Any]:
        scores = outputs.reshape(len(outputs), -1)
        best = scores.argmax(axis=1)
        top = scores[np.arange(len(scores)), best]
        return [{"class": int(index), "score": float(score)} for index, score in zip(best, top, strict=True)]

    def sample(self) -> bytes:
        return bytes(images.BYTES)
