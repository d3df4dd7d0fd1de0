"""The page as a browser lays it out: nothing sticks out of it, on a desk or on a phone."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proofload.records import Outcome
from proofload.report.formats import html
from proofload.report.view import view

FRAME = """<!DOCTYPE html><title>waiting</title><body style="margin:0">
<script>addEventListener('message', (event) => { document.title = event.data; });</script>
<iframe src="report.html" style="border:0;width:WIDTHpx;height:800px"></iframe></body>"""
PROBE = """<script>
addEventListener('load', () => {
  const wide = document.documentElement.clientWidth;
  const out = [...document.querySelectorAll('body *')].filter(
    (element) => !element.closest('.scroll, pre, svg, .skip, .hidden')
      && element.getBoundingClientRect().right > wide + 1);
  parent.postMessage(`scroll=${document.documentElement.scrollWidth} client=${wide} out=${out.length}`, '*');
});
</script>"""


@pytest.fixture(scope="module")
def browser(required_program: Callable[..., str]) -> str:
    return required_program("chromium", "chromium-browser", "google-chrome")


@pytest.fixture
def page(make_run: Callable[..., Any], hostile_run: Any, empty_run: Any) -> str:
    """A report that looks into itself and tells the frame around it."""
    runs = [view(run) for run in (make_run("flask", bad={Outcome.ERROR: 0.01}), hostile_run, empty_run)]
    policy = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
    return policy.sub("", html.create().render(runs)).replace("</body>", f"{PROBE}</body>")


@pytest.mark.real
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_overflows_the_page(tmp_path: Path, width: int, page: str, browser: str) -> None:
    """In a frame of that width, because a browser's window cannot be as narrow as a phone."""
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.replace("WIDTH", str(width)), encoding="utf-8")
    done = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1400,900",
            "--virtual-time-budget=5000",
            "--dump-dom",
            frame.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    found = re.search(r"<title>scroll=(\d+) client=(\d+) out=(\d+)</title>", done.stdout)
    assert found, done.stdout[:500]
    scroll, client, out = (int(found[index]) for index in (1, 2, 3))
    assert client == width
    assert scroll == width
    assert out == 0
