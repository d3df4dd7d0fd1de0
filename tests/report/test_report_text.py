"""Whatever a server or a user wrote is shown and never obeyed."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape

from hypothesis import given
from hypothesis import strategies as st

from proofload.report.text import printable, printable_block


def test_control_and_direction_characters_become_visible() -> None:
    assert printable("a\x1b[31mb\u202ec\x00") == "a\\x1b[31mb\\u202ec\\x00"
    assert printable("one\n  two\tthree") == "one two three"


def test_long_text_is_cut_and_says_so() -> None:
    assert printable("x" * 500, 120).endswith("… (380 more characters)")
    assert printable("x" * 50, 10) == "x" * 9 + "…"


def test_what_is_too_little_to_be_worth_a_cut_is_not_cut_off() -> None:
    assert printable("x" * 159, 120) == "x" * 159
    assert printable("x" * 160, 120).endswith("… (40 more characters)")


def test_a_block_keeps_its_lines() -> None:
    assert printable_block("a\r\n\tb\x07\n") == "a\n    b\\x07"


@given(st.text())
def test_any_text_survives_xml_and_utf8(text: str) -> None:
    for shown in (printable(text), printable_block(text)):
        ET.fromstring(f"<t>{escape(shown)}</t>".encode())
