"""Locust's page in a browser, from the choice of a target to the report."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.locust.browser import browsing

from proofload.records import Outcome
from proofload.store.record import RunRecord

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]
TARGET = 'name = "{name}"\ntransport = "http"\nurl = "{url}"\n'
STATE = "(await (await fetch('./proofload/state')).json())"
KNOWS_THE_STATE = "performance.getEntriesByType('resource').some((one) => one.name.includes('stats/requests'))"
"""Locust's page asks for it once when it is opened. "Ready", answered after the start, would bring back the form."""


@contextmanager
def page(folder: Path, url: str, payloads: str, *more: str) -> Iterator[str]:
    """`proofload locust` with two targets; the page's address."""
    for name in ("first", "second"):
        (folder / f"{name}.target.toml").write_text(TARGET.format(name=name, url=url), encoding="utf-8")
    command = [
        *(
            sys.executable,
            "-m",
            "proofload",
            "locust",
            "--port",
            "0",
            "--payloads",
            payloads,
            "--out",
            str(folder / "runs"),
        ),
        *("--target", str(folder / "first.target.toml"), "--target", str(folder / "second.target.toml")),
        *more,
    ]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder)
    assert running.stderr is not None
    said = ""
    try:
        for line in running.stderr:
            said += line
            if found := re.search(r"Locust's page: (http://\S+)", line):
                yield found[1]
                break
        else:
            pytest.fail(f"there is no page:\n{said}")
        running.send_signal(signal.SIGINT)
        out, more_said = running.communicate(timeout=60)
        assert running.returncode == 3, f"both runs were stopped by hand:\n{said}{more_said}\n{out}"
    finally:
        running.kill()
        running.communicate()


def test_a_target_is_chosen_watched_stopped_and_reported(
    tmp_path: Path, url: str, payloads: str, required_program: Callable[..., str]
) -> None:
    browser = required_program("chromium", "chromium-browser", "google-chrome")
    with (
        page(tmp_path, url, payloads, "--rate", "50", "--set", "duration_s=300", "--set", "timeout_s=60") as address,
        browsing(browser, address, tmp_path / "profile") as tab,
    ):
        tab.wait_for(KNOWS_THE_STATE)
        # By the engine.
        tab.choose("target", "second")
        tab.click("Start")
        tab.wait_for("document.querySelector('#proofload').innerText.includes('sending')")
        tab.wait_for("[...document.querySelectorAll('td')].some((cell) => cell.innerText === 'second')")
        tab.click("Charts")
        tab.wait_for("document.querySelectorAll('canvas, svg[width]').length >= 2")
        tab.picture("charts")
        tab.click("Stop")
        report = tab.wait_for("document.querySelector('#proofload a.report')?.href")
        told = tab.value(f"(async () => {STATE})()")
        # By gevent users.
        tab.click("New")
        tab.choose("target", "first")
        tab.choose("client", "gevent users (closed loop)")
        tab.click("Start")
        tab.wait_for("document.querySelector('#proofload').innerText.includes('sending')")
        tab.click("Statistics")
        tab.wait_for("[...document.querySelectorAll('td')].some((cell) => cell.innerText === 'first')")
        tab.click("Stop")
        tab.wait_for("document.querySelectorAll('#proofload a.report').length === 2")
        with urllib.request.urlopen(report) as answer:
            html = answer.read().decode()
        assert tab.errors == []
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(
                urllib.request.Request(f"{address}/stop", b"", {"Origin": "http://elsewhere.example"})
            )

    assert [(run["run"], run["target"], run["status"]) for run in told["runs"]] == [(1, "second", "invalid")]
    assert "second" in html
    assert "stopped on Locust&#39;s page" in html
    engine, users = (RunRecord(path.parent) for path in sorted((tmp_path / "runs").glob("*/run.json")))
    assert engine.run["target"]["name"] == "second"
    for record in (engine, users):
        (phase,) = record.phases
        samples = record.samples()
        assert 0 < phase.planned == len(samples)
        assert phase.duration_s < 300
        assert set(samples.outcome) <= {Outcome.OK, Outcome.UNSENT}
    loop = next(item for item in users.result.validity if item.code == "closed-loop")
    assert loop.detail.startswith("50 users each waited for their answer before they sent again")
    assert "whether or not" in next(item for item in engine.result.validity if item.code == "closed-loop").detail
    assert json.loads((engine.path / "result.json").read_text())["status"] == "invalid"
