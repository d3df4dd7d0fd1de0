"""HTML pages as a browser lays them out, on a desk and on a phone: for tests of whatever writes pages.

`laid_out` opens any number of pages in one headless Chromium, each in a frame of its own width, because a browser's
window cannot be as narrow as a phone. Each page is a copy that looks into itself and tells the frame around it, so its
content security policy is left out: what of it is obeyed, as `hostile` text would be, is among its errors.
`refuse_active_content` checks that the page itself needs no script.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

DESK, PHONE = 1280, 390
_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
_FRAME = """<!DOCTYPE html><title>waiting</title><body style="margin:0">
<script>
const told = new Array(COUNT).fill(null);
addEventListener('message', (event) => {
  const frames = [...document.querySelectorAll('iframe')];
  told[frames.findIndex((one) => one.contentWindow === event.source)] = event.data;
  if (told.every((one) => one !== null)) document.title = JSON.stringify(told);
});
</script>
FRAMES</body>"""
_PROBE = """<script>
const errors = [];
for (const name of ['alert', 'confirm', 'prompt']) window[name] = (said) => errors.push(`${name}(${said})`);
addEventListener('error', (event) => errors.push(String(event.message || event.target)), true);
addEventListener('load', () => {
  const wide = document.documentElement.clientWidth;
  const out = [...document.querySelectorAll('body *')].filter(
    (element) => !element.closest('.scroll, pre, svg, .skip, .hidden')
      && element.getBoundingClientRect().right > wide + 1);
  parent.postMessage({client: wide, scroll: document.documentElement.scrollWidth, errors: errors,
    out: out.slice(0, 5).map((element) => element.outerHTML.slice(0, 200)), text: document.body.innerText}, '*');
});
</script>"""


def hostile(number: int) -> str:
    """Text that does something, or breaks something, wherever it is not shown as text."""
    return f'{script(number)} & "q" | `x` $\\frac_{{x}}$ ![i](http://evil.example/i.png)\x1b[31m\u202e{_TAG} {_LONG}'


def script(number: int) -> str:
    """The part of `hostile(number)` that stands on a page by which it is recognised."""
    return f"<script>alert({number})</script>"


_TAG = "</code></pre></svg><img src=x onerror=alert(0)>"
_LONG = "W" * 300


@dataclass(frozen=True, slots=True)
class Laid:
    """What became of one page. Widths in CSS pixels."""

    client: int
    """As wide as it was given."""
    scroll: int
    """As wide as it is; more than `client`: it overflows."""
    out: tuple[str, ...]
    """Elements that stick out of the page, as far as they are not in a box that scrolls."""
    errors: tuple[str, ...]
    """What a script of the page, or text that became one, threw or said."""
    text: str
    """What can be read."""


def laid_out(browser: str, pages: Sequence[tuple[str, int]], folder: Path) -> list[Laid]:
    """`pages`: (HTML, width). Files are written into `folder`."""
    frames = []
    for number, (text, width) in enumerate(pages):
        probed = _POLICY.sub("", text).replace("<head>", f"<head>{_PROBE}", 1)
        assert _PROBE in probed, "the page has no <head>"
        (folder / f"page-{number}.html").write_text(probed, encoding="utf-8")
        frames.append(f'<iframe src="page-{number}.html" style="border:0;width:{width}px;height:800px"></iframe>')
    frame = folder / "frame.html"
    around = _FRAME.replace("COUNT", str(len(frames))).replace("FRAMES", "\n".join(frames))
    frame.write_text(around, encoding="utf-8")
    done = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={folder / 'profile'}",
            "--window-size=1400,900",
            "--virtual-time-budget=8000",
            "--dump-dom",
            frame.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    found = re.search(r"<title>(\[.*?\])</title>", done.stdout, re.DOTALL)
    assert found, f"the pages did not tell of themselves: {done.stdout[:500]}"
    return [
        Laid(one["client"], one["scroll"], tuple(one["out"]), tuple(one["errors"]), one["text"])
        for one in json.loads(html.unescape(found[1]))
    ]


def refuse_active_content(page: str) -> None:
    """Asserts that a page has no script, no handler, no address that is one, and loads nothing from elsewhere."""
    parser = _Active()
    parser.feed(page)
    assert parser.found == [], parser.found


class _Active(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "iframe", "object", "embed", "base", "form", "img", "link"}:
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            address = (value or "").strip().lower()
            if name.startswith("on") or (name in {"href", "src", "xlink:href"} and _leads_away(address)):
                self.found.append(f"<{tag} {name}={value!r}>")


def _leads_away(address: str) -> bool:
    return bool(re.match(r"[a-z][a-z0-9+.-]*:", address)) or address.startswith("//")
