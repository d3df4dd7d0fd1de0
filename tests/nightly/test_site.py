"""The pages: what they say of a history. How a browser shows them: tests/report/test_every_page.py."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from proofload.nightly.chronicle import chronicle_of
from proofload.nightly.history import Index
from proofload.nightly.night import nights
from proofload.nightly.plan import Cell
from proofload.nightly.site import write_site
from proofload.records import Status
from proofload.testing.synthetic_nights import Made, a_cell, write_night


def written(out: Path) -> Path:
    return write_site(out, chronicle_of(nights(out), Index(out, lambda _: None).rows()))[0]


def pages(site: Path) -> dict[str, str]:
    return {path.relative_to(site).as_posix(): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}


def words(page: str) -> str:
    text = re.sub(r"<(style|svg).*?</\1>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", text)))


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name == "href" and value and not value.startswith("#")]


def test_the_front_page_says_how_the_night_ended(tmp_path: Path) -> None:
    made: dict[Cell, Made | str | None] = {
        a_cell(): Made(),
        a_cell("grpc"): Made(status=Status.FAIL),
        a_cell("kafka"): Made(status=Status.INVALID),
        a_cell("slow"): Made(status=Status.INCONCLUSIVE),
        a_cell("down"): "error: down cannot be started",
        a_cell("untried"): None,
    }
    write_night(tmp_path, 0, made)
    text = words(written(tmp_path).read_text(encoding="utf-8"))
    assert "Night 2026-01-01" in text
    assert "1 of 6 cells passes; 1 fails; 1 is inconclusive; 1 is invalid; 2 are missing." in text
    assert "No change can be told yet: that takes 12 nights, and this is number 1." in text
    assert "down cannot be started" in text
    assert "it has not been run" in text


def test_a_change_is_told_with_its_size_date_and_side(many_nights: Callable[..., Path]) -> None:
    out = many_nights(40, slower_from=30)
    site = written(out).parent
    front, cell = words(pages(site)["index.html"]), words(pages(site)["cells/load.flask.cpu.html"])
    for text in (front, cell):
        assert re.search(r"p99 ▲ 1[3-7] % higher: worse", text), text
        assert "2026-01-31" in text
    assert "changes: +1" in pages(site)["cells/load.flask.cpu.html"]
    assert "No change has been told." in words(pages(site)["cells/load.grpc.cpu.html"])


def test_the_night_on_which_a_change_is_told_says_so_first(many_nights: Callable[..., Path]) -> None:
    out = many_nights(40, slower_from=30)
    everything = chronicle_of(nights(out), Index(out, lambda _: None).rows())
    (change,) = [one for trend in everything.trends if trend.name == "p99" for one in trend.changes]
    until = [night for night in nights(out) if night.name <= change.told_on]
    _, sentences = write_site(out, chronicle_of(until, everything.rows))
    assert any(sentence.startswith("Told tonight:") and "load · flask · cpu" in sentence for sentence in sentences)
    _, later = write_site(out, everything)
    assert "No change was told tonight." in later
    following = nights(out)[len(until)]
    _, next_day = write_site(out, chronicle_of([*until, following], everything.rows))
    assert any(one.startswith("Told in the 7 nights before:") and "load · flask · cpu" in one for one in next_day)


def test_another_configuration_begins_a_new_course_and_is_marked(tmp_path: Path) -> None:
    for number in range(30):
        slower = number >= 15
        run = {"scenario.rate_rps": 120.0} if slower else {}
        write_night(tmp_path, number, {a_cell(): Made(p99_ms=40.0 + number % 3 + 20.0 * slower, run=run)})
    history = chronicle_of(nights(tmp_path), Index(tmp_path, lambda _: None).rows())
    assert [len(trend.stretches) for trend in history.trends] == [2, 2]
    assert not any(trend.changes for trend in history.trends)
    text = words(pages(written(tmp_path).parent)["cells/load.flask.cpu.html"])
    assert "2026-01-16 : another configuration; figures before and after are not compared." in text
    assert "scenario.rate_rps: 100.0 → 120.0" in text
    assert "p99: 41.0 ms (median of 15 nights) → 61.0 ms (median of 15 nights)" in text
    assert "crosses: nights without" in text
    everything = Index(tmp_path, lambda _: None).rows()
    told = [write_site(tmp_path, chronicle_of(nights(tmp_path)[:until], everything))[1] for until in (15, 16, 17)]
    new = "Not compared with the nights before: load · flask · cpu (another configuration)."
    assert [any(sentence.startswith(new) for sentence in sentences) for sentences in told] == [False, True, False]


def test_hosts_that_take_turns_go_on_with_their_courses_and_none_is_called_new(tmp_path: Path) -> None:
    for number in range(4):
        run = {"environment.cpu": "another"} if number % 2 else {}
        write_night(tmp_path, number, {a_cell(): Made(run=run)})
    everything = Index(tmp_path, lambda _: None).rows()
    told = [write_site(tmp_path, chronicle_of(nights(tmp_path)[:until], everything))[1] for until in (1, 2, 3, 4)]
    new = "Not compared with the nights before: load · flask · cpu (another host)."
    assert [any(one.startswith(new) for one in sentences) for sentences in told] == [False, True, False, False]


def test_a_regression_that_came_with_a_new_version_is_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for number in range(40):
        slow, version = (1.15, "v3") if number >= 20 else (1.0, "v2")
        start = {"command": ["server", "--weights", f"{version}.bin"], "env": {"MODEL": version}}
        run = {"target.start": start, "target.container": {"image": f"scorer:{version}"},
               "target.version_in": ["MODEL", "--weights"]}  # fmt: skip
        write_night(tmp_path, number, {a_cell(): Made(p99_ms=40.0 * slow * math.exp(0.03 * rng.normal()), run=run)})
    history = chronicle_of(nights(tmp_path), Index(tmp_path, lambda _: None).rows())
    (p99,) = [trend for trend in history.trends if trend.name == "p99"]
    assert [(change.night, change.worse) for change in p99.changes] == [("2026-01-21", True)]


def test_a_collapse_is_told_and_marked_as_a_bound(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for number in range(30):
        down = number >= 20
        p99_ms = 5000.0 if down else 40.0 * math.exp(0.03 * rng.normal())
        write_night(tmp_path, number, {a_cell(): Made(p99_ms=p99_ms, censored=down)})
    site = written(tmp_path).parent
    front, cell = words(pages(site)["index.html"]), words(pages(site)["cells/load.flask.cpu.html"])
    for text in (front, cell):
        assert re.search(r"p99 ▲ [\d,]+ % higher: worse .* → ≥ 5,000 ms 2026-01-21", text), text
    assert "2026-01-30 ✓ pass 1,250 ≥ 5,000" in cell
    assert "lately ≥ 5,000 ms" in pages(site)["cells/load.flask.cpu.html"]


def test_nights_without_a_figure_are_counted_and_no_good_news(tmp_path: Path) -> None:
    for number in range(20):
        gone = number >= 17
        made: Made | str = Made(status=Status.INVALID) if gone else Made()
        write_night(tmp_path, number, {a_cell(): made, a_cell("grpc"): Made()})
    site = written(tmp_path).parent
    said = "3 nights without a figure, the last one is of 2026-01-17"
    front, cell = words(pages(site)["index.html"]), words(pages(site)["cells/load.flask.cpu.html"])
    assert f"Nothing can be told of p50 and p99 of load · flask · cpu ({said})." in front
    assert f"p99: {said}." in cell
    assert "without a figure," not in words(pages(site)["cells/load.grpc.cpu.html"])


def test_every_link_leads_to_a_file(many_nights: Callable[..., Path]) -> None:
    site = written(many_nights(3, also=[a_cell("odd/name #1?")])).parent
    links = 0
    for name, page in pages(site).items():
        parser = Links()
        parser.feed(page)
        for link in parser.found:
            links += 1
            assert (site / name).parent.joinpath(unquote(link)).is_file(), (name, link)
    assert links > 20


def test_pages_of_cells_that_are_called_otherwise_now_go(tmp_path: Path) -> None:
    for number, target in enumerate(("old", "new")):
        write_night(tmp_path, number, {a_cell(target): Made()})
    history = chronicle_of(nights(tmp_path), Index(tmp_path, lambda _: None).rows())
    site = write_site(tmp_path, history)[0].parent
    assert "cells/load.old.cpu.html" in pages(site)
    write_site(tmp_path, chronicle_of(nights(tmp_path)[1:], history.rows))
    assert "cells/load.old.cpu.html" not in pages(site)


def test_two_cells_whose_names_differ_only_in_signs_have_two_pages(tmp_path: Path) -> None:
    write_night(tmp_path, 0, {Cell("load", "", "cpu", "a b", ""): Made(), Cell("load", "", "cpu", "a/b", ""): None})
    assert {name for name in pages(written(tmp_path).parent) if name.startswith("cells/")} == {
        "cells/a-b.cpu.html",
        "cells/a-b.cpu.2.html",
    }
