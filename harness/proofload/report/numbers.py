"""Numbers as people read them: three significant figures, intervals, shares, money, aligned columns.

Rounding never changes what a number says of its limit (`against`), a share near one keeps the digits
that matter (`share`), and what was not measured is "n/a", never 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from proofload.records import Interval, Quantile

MISSING = "n/a"
FIGURE_SPACE = "\u2007"  # as wide as a digit: pads a column without adding a digit that was not measured
POINT_SPACE = "\u2008"  # as wide as a point or a comma

_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
_NUMBER = re.compile(r"^(?P<lead>\D*)(?P<whole>[\d,]*)(?P<fraction>\.\d+)?(?P<tail>.*)$", re.DOTALL)
_MAX_DECIMALS = 9
_LEAST = 10.0**-_MAX_DECIMALS
"""What is smaller is written as 0: nothing that is measured here is so small."""
_LEAST_SHARE = 1e-8


def significant(value: float | None, digits: int = 3) -> str:
    """`digits` significant figures, thousands separated, never an exponent: 1,240 · 41.2 · 0.0830 · 0."""
    if value is None or not math.isfinite(value):
        return MISSING
    if abs(value) < _LEAST:
        return "0"
    decimals = digits - 1 - _magnitude(value, digits)
    rounded = round(value, decimals)
    return _signed(f"{rounded:,.{min(max(decimals, 0), _MAX_DECIMALS)}f}")


def short(value: float | None, digits: int = 3) -> str:
    """As `significant`, without trailing zeros, for a number in a sentence: 1,500 · 41.2 · 0.083 · 0."""
    text = significant(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text else text


def chance(value: float | None) -> str:
    """A probability that may be next to nothing: 0.021 · < 0.0001."""
    return "< 0.0001" if value is not None and 0.0 <= value < 1e-4 else short(value, 2)


def plain(value: float | None) -> str:
    """A number that somebody chose (a limit, a setting): as it was written, without trailing zeros."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:,.6f}".rstrip("0").rstrip(".")
    return _signed(text) if float(text.replace(",", "")) or not value else short(value)


def count(value: float | None) -> str:
    """A whole number, all digits: counts are exact."""
    return MISSING if value is None else _signed(f"{round(value):,}")


def against(value: float | None, limit: float | None, digits: int = 3) -> str:
    """`value` with as many figures as it takes to stand on the same side of `limit` as it really does.

    50.02 beside a limit of 50 is "50.02", never "50.0": a failure must not look like a pass.
    """
    if value is None or limit is None or not math.isfinite(value) or value == limit:
        return significant(value, digits)
    for figures in range(digits, digits + 8):
        text = significant(value, figures)
        shown = _parsed(text)
        if shown != limit and (shown < limit) == (value < limit):
            return text
    return significant(value, digits + 8)


def share(value: float | None) -> str:
    """A share as a percentage. Near 100 % the complement keeps two figures, so that 99.987 % is not "100 %"."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value in {0.0, 1.0}:
        return f"{value:.0%}".replace("%", " %")
    if abs(value) < _LEAST_SHARE:
        return "0 %"
    complement = 1.0 - value
    if 0 < complement < 0.1:
        decimals = max(1, 1 - _magnitude(complement * 100, 2))
        return f"{value * 100:.{min(decimals, _MAX_DECIMALS)}f} %"
    return f"{significant(value * 100)} %"


def money(value: float | None, currency: str) -> str:
    """An amount: cents where they matter, three figures below ten cents and above a hundred."""
    if value is None or not math.isfinite(value):
        return MISSING
    amount = f"{value:,.2f}" if 0.1 <= abs(value) < 100 else significant(value)
    symbol = _SYMBOLS.get(currency.upper())
    return f"{symbol}{amount}" if symbol else f"{amount} {currency}".rstrip()


def interval(bounds: Interval, *, limit: float | None = None) -> str:
    """ "1,180–1,290", "≥ 1,180", "≤ 1,290" or "n/a", by which ends are known."""
    return _range(_bound(bounds.low, limit), _bound(bounds.high, limit))


def money_interval(bounds: Interval, currency: str) -> str:
    """As `interval`, amounts without their symbol, which stands beside the value."""
    symbol = _SYMBOLS.get(currency.upper(), currency)
    ends = (
        money(end, currency).replace(symbol, "").strip() if end is not None else None
        for end in (bounds.low, bounds.high)
    )
    return _range(*ends)


def money_range(bounds: Interval, currency: str) -> str:
    """As `money_interval`, where no value stands beside it: "$219–350", "≥ 219 CHF"."""
    text = money_interval(bounds, currency)
    symbol = _SYMBOLS.get(currency.upper())
    if text == MISSING:
        return text
    return re.sub(r"(?=\d)", symbol, text, count=1) if symbol else f"{text} {currency}".rstrip()


def share_interval(bounds: Interval) -> str:
    ends = (share(end).removesuffix(" %") if end is not None else None for end in (bounds.low, bounds.high))
    text = _range(*ends)
    return text if text == MISSING else f"{text} %"


def bracketed(bounds: Interval, *, beside: str = "", limit: float | None = None) -> str:
    """The interval as it follows a value in a sentence: " (1,180–1,290)"; empty when it is unknown or says no more
    than the value's own text, which is `beside`."""
    text = interval(bounds, limit=limit)
    return "" if text in {MISSING, beside} else f" ({text})"


def quantile(found: Quantile | None, *, limit: float | None = None) -> str:
    """A percentile's value without its unit: "41.2", "≥ 5,000" when censored, "n/a (needs 12,000 samples)"."""
    if found is None:
        return MISSING
    if found.value is None:
        return MISSING if found.needs is None else f"{MISSING} (needs {count(found.needs)} samples)"
    text = against(found.value, limit)
    return f"≥ {text}" if found.censored else text


def seconds(value: float | None) -> str:
    """A length of time, for reading: "850 ms", "12.0 s", "2 min 30 s", "2 h 5 min"."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value < 1:
        return f"{significant(value * 1000)} ms"
    if value < 100:
        return f"{significant(value)} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if left else f"{hours} h"


def align(cells: Sequence[str]) -> tuple[str, ...]:
    """Pads the cells of a right-aligned column so that their decimal points stand in one line.

    Cells that hold a range ("1,180–1,290") are aligned on their dashes. Words are left alone, and so is a
    column of different units, whose points have nothing to do with each other.
    """
    units = {_unit(cell) for cell in cells if any(character.isdigit() for character in cell)} - {None}
    if len(units) > 1 or (units and any(map(_in_words, cells))):
        return tuple(cells)
    if any("–" in cell for cell in cells):
        return _align_ranges(cells)
    split = [_split(cell) for cell in cells]
    fraction = max((len(part[1]) for part in split if part), default=0)
    out = []
    for cell, part in zip(cells, split, strict=True):
        if part is None:
            out.append(cell)
            continue
        head, decimals, tail = part
        pad = fraction - len(decimals)
        blank = (POINT_SPACE if not decimals else FIGURE_SPACE) + FIGURE_SPACE * (pad - 1) if pad else ""
        out.append(f"{head}{decimals}{blank}{tail}")
    return tuple(out)


def unit_of(cells: Sequence[str]) -> str:
    """The unit that all numbers of a column share, or empty."""
    if any(map(_in_words, cells)):
        return ""
    units = {_unit(cell) for cell in cells} - {None}
    return (units.pop() or "") if len(units) == 1 else ""


def _align_ranges(cells: Sequence[str]) -> tuple[str, ...]:
    """Puts the dashes of right-aligned ranges in one line; single bounds and words stay at the right."""
    parts = [cell.split("–", 1) if "–" in cell else None for cell in cells]
    digits = max(_figures(part[1])[0] for part in parts if part)
    points = max(_figures(part[1])[1] for part in parts if part)
    out = []
    for cell, part in zip(cells, parts, strict=True):
        if part is None:
            out.append(cell)
            continue
        own_digits, own_points = _figures(part[1])
        out.append(f"{cell}{FIGURE_SPACE * (digits - own_digits)}{POINT_SPACE * (points - own_points)}")
    return tuple(out)


def _figures(text: str) -> tuple[int, int]:
    """Digits and punctuation marks, which are narrower."""
    digits = sum(character.isdigit() for character in text)
    return digits, sum(character in ",." for character in text)


def _split(cell: str) -> tuple[str, str, str] | None:
    """(sign and whole digits, fraction with its point, what follows), or None for words."""
    found = _NUMBER.match(cell)
    if found is None or not found["whole"] or any(character.isalpha() for character in found["lead"]):
        return None
    tail = found["tail"]
    if len(tail.strip()) > 2:  # a sentence that starts with a number, not a number with a unit
        return None
    return found["lead"] + found["whole"], found["fraction"] or "", tail


def _unit(cell: str) -> str | None:
    """What follows the last figure of a number or range; None for words."""
    part = _split(re.split("–| to ", cell)[-1])
    return None if part is None else part[2].strip()


def _in_words(cell: str) -> bool:
    """Whether it is a number whose unit is a word: "2.5 threads"."""
    return re.match(r"[≥≤−+ ]*[\d,.]+ [a-z-]{3,}$", cell) is not None


def _bound(value: float | None, limit: float | None) -> str | None:
    return None if value is None or not math.isfinite(value) else against(value, limit)


def _range(low: str | None, high: str | None) -> str:
    if low is None and high is None:
        return MISSING
    if high is None:
        return f"≥ {low}"
    if low is None:
        return f"≤ {high}"
    return f"{low} to {high}" if low.startswith("−") else f"{low}–{high}"


def _magnitude(value: float, digits: int) -> int:
    """The power of ten of the first figure after rounding to `digits`, so that 9.996 counts as 10.0."""
    return int(f"{abs(value):.{digits - 1}e}".partition("e")[2])


def _parsed(text: str) -> float:
    return float(text.replace(",", "").replace("−", "-"))


def _signed(text: str) -> str:
    return text.replace("-", "−")
