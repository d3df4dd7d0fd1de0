"""Is this the expected answer? Compares predictions, reads the version an answer is stamped with."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.ext.parser import parse as parse_jsonpath

from proofload.errors import InputError

MISSING = object()
"""Stands for a prediction that an answer does not have."""
_NO_EXPECTATION = object()
_MEMO_BYTES = 4096
_ABSOLUTE = 1e-9
_PLAIN_PATH = re.compile(r"^\$((\.[A-Za-z_][\w-]*)|(\[\d+\]))*$")
_STEP = re.compile(r"\.([A-Za-z_][\w-]*)|\[(\d+)\]")

NO_EXPECTATION = _NO_EXPECTATION
"""Stands for the expected answer of a payload that states none."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """`correct`, the version stamp (None: there is none), and why an answer is wrong."""

    correct: bool
    version: str | None = None
    why: str = ""


class AnswerCheck:
    """Judges answers of one target.

    `expects[i]` is the expected prediction of payload i, or NO_EXPECTATION: such an answer is correct
    whatever it says. Numbers are compared to the relative tolerance `rtol` (or 1e-9 absolutely, so
    that an expected zero can be met); of an object, the expected members count and others are ignored.
    """

    def __init__(
        self,
        decode: Callable[[bytes], Any],
        expects: Sequence[Any],
        *,
        prediction: str = "$.prediction",
        version: str | None = None,
        expected_version: str | None = None,
        rtol: float = 1e-4,
    ) -> None:
        self._decode = decode
        self._expects = expects
        self._prediction = compile_path(prediction)
        self._prediction_text = prediction
        self._version = compile_path(version) if version else None
        self._expected_version = expected_version
        self._rtol = rtol
        self._keeps = False
        self.prediction: Any = MISSING
        """Of the answer judged last, where predictions are kept (see `keep_predictions`)."""
        self._right = _CORRECT  # the last correct one: nearly always the next one, too
        self._last_good: list[bytes | None] = [None] * len(expects)
        self._last_version: list[str | None] = [None] * len(expects)
        self._last_prediction: list[Any] = []

    @property
    def rtol(self) -> float:
        return self._rtol

    def read(self, body: bytes) -> Any:
        """The JSON form of an answer's body. Raises whatever reading it meets."""
        return self._decode(body)

    def keep_predictions(self, *, wanted: bool) -> None:
        """Whether each answer's prediction is to be read, expected or not, and kept until the next."""
        if wanted and not self._keeps:  # what was remembered, was without
            self._last_good = [None] * len(self._expects)
            self._last_prediction = [MISSING] * len(self._expects)
        self._keeps = wanted

    def judge(self, payload: int, body: bytes) -> Judgement:
        """Never raises: an answer that cannot be read is a wrong one, whatever reading it met."""
        if body == self._last_good[payload]:  # deterministic servers repeat themselves to the byte
            if self._keeps:
                self.prediction = self._last_prediction[payload]
            return self._correct(self._last_version[payload])
        if self._expects[payload] is _NO_EXPECTATION and self._version is None and not self._keeps:
            return _CORRECT
        self.prediction = MISSING
        try:
            return self._read(payload, body)
        except Exception as exc:  # noqa: BLE001  a hostile answer (nested 1,000 deep, say) ends itself, not the run
            return Judgement(correct=False, why=f"the answer cannot be read: {type(exc).__name__}: {str(exc)[:200]}")

    def _read(self, payload: int, body: bytes) -> Judgement:
        expected = self._expects[payload]
        answer = self._decode(body)
        version = self._stamp(answer)
        if self._keeps:
            self.prediction = self._prediction(answer)
        if self._expected_version is not None and version != self._expected_version:
            return Judgement(
                correct=False, version=version, why=f"version {version!r} instead of {self._expected_version!r}"
            )
        if expected is not _NO_EXPECTATION:
            seen = self._prediction(answer)
            if seen is MISSING:
                return Judgement(correct=False, version=version, why=f"no {self._prediction_text} in the answer")
            if not agrees(expected, seen, self._rtol):
                return Judgement(
                    correct=False, version=version, why=f"predicted {_short(seen)}, expected {_short(expected)}"
                )
        if len(body) <= _MEMO_BYTES:
            self._last_good[payload] = body
            self._last_version[payload] = version
            if self._keeps:
                self._last_prediction[payload] = self.prediction
        return self._correct(version)

    def _correct(self, version: str | None) -> Judgement:
        if version != self._right.version:
            self._right = Judgement(correct=True, version=version)
        return self._right

    def _stamp(self, answer: Any) -> str | None:
        if self._version is None:
            return None
        stamp = self._version(answer)
        return None if stamp is MISSING or stamp is None else str(stamp)


_CORRECT = Judgement(correct=True)


def agrees(expected: Any, seen: Any, rtol: float) -> bool:
    """Is `seen` the expected JSON value, numbers to a relative tolerance?"""
    if isinstance(expected, bool) or isinstance(seen, bool):
        return expected is seen
    if isinstance(expected, (int, float)):
        return isinstance(seen, (int, float)) and (
            expected == seen or math.isclose(expected, seen, rel_tol=rtol, abs_tol=_ABSOLUTE)
        )
    if isinstance(expected, dict):
        return isinstance(seen, dict) and all(
            key in seen and agrees(value, seen[key], rtol) for key, value in expected.items()
        )
    if isinstance(expected, list):
        return (
            isinstance(seen, list)
            and len(seen) == len(expected)
            and all(agrees(one, other, rtol) for one, other in zip(expected, seen, strict=True))
        )
    return bool(expected == seen)


def compile_path(path: str) -> Callable[[Any], Any]:
    """A function that reads a JSONPath, giving a private marker where there is nothing.

    Plain member and index paths are walked directly; everything else goes through jsonpath-ng.
    Raises InputError for a path that does not parse.
    """
    if _PLAIN_PATH.match(path):
        steps = tuple(int(index) if index else name for name, index in _STEP.findall(path))

        def walk(value: Any) -> Any:
            for step in steps:
                try:
                    value = value[step]
                except (KeyError, IndexError, TypeError):
                    return MISSING
            return value

        return walk
    try:
        compiled = parse_jsonpath(path)
    except (JSONPathError, ValueError) as exc:
        raise InputError(
            f"{path!r} is not a JSONPath", evidence=str(exc), remedy='write for example "$.score"'
        ) from exc

    def search(value: Any) -> Any:
        found = compiled.find(value)
        return found[0].value if found else MISSING

    return search


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
