"""Which metrics a PromQL expression asks for."""

from __future__ import annotations

import re

_WORDS = {"by", "on", "and", "or", "unless", "without", "ignoring", "group_left", "group_right", "offset", "bool"}
_LISTS = re.compile(r"\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)")


def metrics_in(expression: str) -> set[str]:
    """Names of series. What stands in quotes, in braces or in brackets is none; nor is a function's name."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]", "", bare)
    bare = _LISTS.sub("", bare)
    words = re.findall(r"[A-Za-z_:][\w:]*(?!\w)(?!\s*\()", bare)
    return {word for word in words if word not in _WORDS}
