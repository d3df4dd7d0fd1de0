"""Text that a target, a server or a user wrote, made safe to show: nothing invisible, nothing endless.

Escaping for HTML, Markdown and XML is each format's own; what no format can carry (control characters,
lone surrogates, marks that turn the reading direction) is made visible here, once.
"""

from __future__ import annotations

import unicodedata

_SAYS_HOW_MUCH = 100
_WORTH_A_CUT = 40
"""Fewer characters than this are not left out of a long text: saying that they are takes as much room."""
_TURNING = frozenset("\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff")


def printable(value: object, limit: int = 160) -> str:
    """One line of visible characters, cut at about `limit`; long ones say how many are left out."""
    return _cut(" ".join(_visible(str(value)).split()), limit)


def printable_block(value: object, limit: int = 600) -> str:
    """As `printable`, keeping line breaks: for bodies and logs."""
    lines = str(value).replace("\r\n", "\n").expandtabs(4).split("\n")
    return _cut("\n".join(_visible(line, keep=" ").rstrip() for line in lines).strip("\n"), limit)


def _visible(text: str, keep: str = " \t\r\n") -> str:
    return "".join(
        character if character in keep or not _hidden(character) else _named(character) for character in text
    )


def _hidden(character: str) -> bool:
    if character in _TURNING or unicodedata.category(character) in {"Cc", "Cs", "Co", "Zl", "Zp"}:
        return True
    return (ord(character) & 0xFFFE) == 0xFFFE or 0xFDD0 <= ord(character) <= 0xFDEF  # not allowed in XML


def _named(character: str) -> str:
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    if limit < _SAYS_HOW_MUCH:
        return f"{text[: limit - 1].rstrip()}…"
    left_out = len(text) - limit
    return text if left_out < _WORTH_A_CUT else f"{text[:limit].rstrip()}… ({left_out:,} more characters)"
