"""The same sections in every format: ordered, escaped, deterministic, and honest where there is nothing."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from typing import Any

import pytest

from proofload.discovery import implementations
from proofload.errors import InputError
from proofload.records import Outcome, Status
from proofload.report.formats import html, junit, md
from proofload.report.formats import json as json_format
from proofload.report.sections import report_document
from proofload.report.view import RunView, view
from proofload.store.results_json import results_text

ORDER = [
    "answer",
    "validity",
    "verdict",
    "comparison",
    "cost",
    "load",
    "tail",
    "errors",
    "time",
    "server",
    "environment",
    "reproduce",
]
VOID = {"meta", "link", "br", "img", "use", "path", "hr"}


class Page(HTMLParser):
    """Checks nesting as it reads, and keeps what the tests ask about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.styles = 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def runs(make_run: Callable[..., Any]) -> Sequence[RunView]:
    return (
        view(make_run("fastapi", capacity_rps=600, seed=3)),
        view(make_run("flask", capacity_rps=400, seed=2, bad={Outcome.ERROR: 0.01, Outcome.WRONG: 0.004})),
        view(make_run("kafka", invalid=True, probes=False, seed=4)),
    )


@pytest.fixture(scope="module")
def page_text(runs: Sequence[RunView]) -> str:
    return html.create().render(runs)


@pytest.fixture(scope="module")
def hostile_view(hostile_run: Any) -> RunView:
    return view(hostile_run)


def test_every_format_is_found_and_renders(runs: Sequence[RunView]) -> None:
    found = implementations("report format")
    assert {"html", "md", "json", "junit"} <= set(found)
    for name, implementation in found.items():
        assert implementation.module is not None, f"{name}: {implementation.reason}"
        made = implementation.module.create()
        assert made.suffix.startswith(".")
        assert made.render(runs[:1])


def test_sections_come_in_the_order_of_a_readers_doubts(runs: Sequence[RunView], page_text: str) -> None:
    assert [section.id for section in report_document(runs).sections] == ORDER
    assert [attributes["id"] for attributes in Page(page_text).all("section")] == ORDER
    titles = [line[3:] for line in md.create().render(runs).splitlines() if line.startswith("## ")]
    assert titles == [section.title for section in report_document(runs).sections]


def test_the_page_is_self_contained_and_needs_no_script(page_text: str) -> None:
    page = Page(page_text)
    assert page.open == []
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "img", "foreignobject"}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    assert not re.search(r"url\((?!#)|@import", page_text)


def test_ids_are_unique_and_every_reference_finds_its_own(page_text: str) -> None:
    page = Page(page_text)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    referred = re.findall(r"url\(#([^)]+)\)", page_text) + [
        (attributes.get("href") or attributes.get("xlink:href") or "")[1:]
        for tag, attributes in page.tags
        if tag in {"a", "use"}
    ]
    assert set(referred) <= set(ids)


def test_pictures_have_words_and_tables_have_captions_and_scopes(page_text: str) -> None:
    page = Page(page_text)
    images = [attributes for _, attributes in page.tags if attributes.get("role") == "img"]
    assert len(images) == len(page.all("svg")) == len(page.all("figcaption")) >= 6
    assert all(len(attributes["aria-label"] or "") > 40 for attributes in images)
    assert len(page.all("caption")) == len(page.all("table")) > 8
    assert all(attributes.get("scope") in {"col", "row"} for attributes in page.all("th"))
    assert len(page.all("h1")) == 1


def test_every_state_is_told_by_word_and_symbol(make_run: Callable[..., Any]) -> None:
    states = {"pass": "✓", "fail": "✗", "inconclusive": "?", "invalid": "⊘"}
    for status in Status:
        run = view(make_run("flask", procedure="load", status=status, invalid=status is Status.INVALID))
        words = " ".join(Page(html.create().render([run])).text)
        assert re.search(rf"{re.escape(states[status.value])}\s+{status.value}", words)
        assert f"{states[status.value]} {status.value}" in md.create().render([run])


@pytest.mark.parametrize("make", [html.create, md.create, json_format.create, junit.create])
def test_the_same_runs_give_the_same_bytes(make: Callable[[], Any], runs: Sequence[RunView]) -> None:
    assert make().render(runs) == make().render(runs)


@pytest.mark.parametrize("make", [html.create, md.create, json_format.create, junit.create])
def test_no_runs_is_an_error_a_person_can_act_on(make: Callable[[], Any]) -> None:
    with pytest.raises(InputError, match="at least one run"):
        make().render([])


def test_a_target_has_one_colour_in_pictures_and_tables(runs: Sequence[RunView], page_text: str) -> None:
    looks = report_document(runs).looks
    assert len({look.colour for look in looks.values()}) == len(looks)
    swatches = re.findall(r'class="swatch" style="color:(#\w+)"[^>]*>[^<]+</span> (\w+)', page_text)
    assert {label: look.colour for label, look in looks.items()} == {name: colour for colour, name in swatches}
    for look in looks.values():
        assert page_text.count(look.colour) > 20


def test_a_target_keeps_its_colour_when_others_join(runs: Sequence[RunView]) -> None:
    alone, together = report_document(runs[:1]).looks, report_document(runs).looks
    assert alone["fastapi"] == together["fastapi"]


def test_two_runs_of_one_target_are_told_apart(runs: Sequence[RunView]) -> None:
    assert list(report_document([runs[0], runs[0]]).looks) == ["fastapi", "fastapi (2)"]


def test_hostile_text_is_shown_and_never_obeyed_in_html(hostile_view: RunView) -> None:
    text = html.create().render([hostile_view, hostile_view])
    page = Page(text)
    assert page.open == []
    assert not page.all("script")
    assert not page.all("img")
    assert "<script>alert(1)</script>" in "".join(page.text)
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_hostile_text_in_markdown_opens_no_cell_link_html_or_fence(hostile_view: RunView) -> None:
    text = md.create().render([hostile_view])
    outside, fence, columns = [], "", 0
    for line in text.splitlines():
        if fence:
            fence = "" if line == fence else fence
            continue
        if line.startswith("```"):
            fence = "`" * (len(line) - len(line.lstrip("`")))
            continue
        outside.append(line)
        bars = len(re.findall(r"(?<!\\)\|", line))
        if line.startswith("|"):
            assert columns in {0, bars}, line
            columns = bars
        else:
            assert bars == 0, line
            columns = 0
    assert fence == ""
    prose = "\n".join(outside)
    assert "<" not in prose
    assert not re.search(r"(?<!\\)!?\[", prose)
    assert not re.search(r"(?<!\\)[`$]", prose)


def test_markdown_escapes_what_would_start_a_list_and_leaves_numbers_alone() -> None:
    assert md.escaped("1. first") == "1\\. first"
    assert md.escaped("- item") == "\\- item"
    assert md.escaped("1.5 ms at p99_9, x_y") == "1.5 ms at p99_9, x_y"
    assert md.escaped("_a_ *b* @c #d") == "\\_a\\_ \\*b\\* &#64;c \\#d"
    assert md.fenced("```").startswith("````")


def test_json_is_the_result_and_for_several_the_document_that_run_writes(runs: Sequence[RunView]) -> None:
    one = json.loads(json_format.create().render(runs[:1]))
    assert one["schema"] == "proofload.result/1"
    many = json.loads(json_format.create().render(runs))
    assert many["schema"] == "proofload.results/1"
    assert [item["target"]["name"] for item in many["results"]] == ["fastapi", "flask", "kafka"]
    assert json_format.create().render(runs) == results_text([run.result for run in runs]) + "\n"


def test_an_empty_run_says_why_each_part_is_missing(empty_run: Any) -> None:
    document = report_document([view(empty_run)])
    assert [section.id for section in document.sections] == ORDER
    assert all(section.blocks for section in document.sections)
    text = md.create().render([view(empty_run)])
    for words in ("No measured phase", "no curve", "No samples were recorded", "No limit was judged", "no command"):
        assert words in text
    assert html.create().render([view(empty_run)])


def test_a_load_report_says_why_it_has_no_curve(make_run: Callable[..., Any]) -> None:
    text = md.create().render([view(make_run("flask", procedure="load", probes=False))])
    assert "One rate was offered, so there is no curve" in text
    assert "no queue and compute histograms were read" in text
    assert "No probe read the target's processes" in text


def test_junit_counts_what_it_holds_and_no_doubt_is_green(
    runs: Sequence[RunView], make_run: Callable[..., Any]
) -> None:
    doubtful = view(make_run("odd", procedure="load", status=Status.INCONCLUSIVE))
    failing = view(make_run("bad", procedure="load", status=Status.FAIL, limit_ms=9))
    root = ET.fromstring(junit.create().render([*runs, doubtful, failing]))
    suites = root.findall("testsuite")
    assert [suite.get("id") for suite in suites] == list("01234")
    for suite in suites:
        cases = suite.findall("testcase")
        assert suite.get("tests") == str(len(cases))
        assert suite.get("failures") == str(len(suite.findall("testcase/failure")))
        assert suite.get("errors") == str(len(suite.findall("testcase/error")))
        assert [child.tag for child in suite] == ["properties", *["testcase"] * len(cases), "system-out", "system-err"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp") or "")
        for case in cases:
            assert {"name", "classname", "time"} == set(case.attrib)
            assert [child.tag for child in case] in ([], ["failure"], ["error"])
    problems = {suite.get("name"): (suite.get("failures"), suite.get("errors")) for suite in suites}
    assert problems["capacity-at-slo / fastapi"] == ("0", "0")
    assert problems["capacity-at-slo / kafka"] == ("0", "1")
    assert problems["load / odd"] == ("0", "1")
    assert problems["load / bad"] == ("1", "0")
    properties = {item.get("name"): item.get("value") for item in suites[0].iter("property")}
    assert float(properties["slo.p99_ms.limit"] or "nan") == 120


def test_a_run_without_checks_is_an_error_in_junit_and_hostile_text_is_valid_xml(
    empty_run: Any, hostile_view: RunView
) -> None:
    root = ET.fromstring(junit.create().render([view(empty_run), hostile_view]).encode())
    assert root.find("testsuite/testcase/error") is not None


def test_every_colour_in_a_picture_is_a_colour(page_text: str) -> None:
    for _, attributes in Page(page_text).tags:
        for name in ("fill", "stroke"):
            value = attributes.get(name) or "none"
            assert re.fullmatch(r"none|#[0-9a-f]{6}|url\(#[\w-]+\)", value), value


def test_pictures_use_no_fonts_or_sizes_of_their_own(page_text: str) -> None:
    for attributes in Page(page_text).all("svg"):
        assert "viewbox" in attributes
        assert "width" not in attributes
