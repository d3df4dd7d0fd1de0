"""Every page there is, in a browser: on a desk and on a phone nothing errs or sticks out, what comes from outside is
text, and no script is needed to read it.

One browser opens them all. Runs are recorded in virtual time, one of each procedure, and their folders poisoned.
"""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.comparing.conftest import TARGET, FakeLab
from tests.procedures import test_canary_rollback as canary
from tests.procedures import test_cold_start_in_virtual_time as cold
from tests.procedures import test_kafka_delivery as kafka
from tests.procedures import test_peak_in_virtual_time as peak
from tests.procedures import test_soak_in_virtual_time as soak
from tests.procedures import test_two_versions_judged as two
from tests.report.conftest import build_empty, build_run

from proofload.comparing import running
from proofload.comparing.asked import Asked, understood
from proofload.comparing.found import Comparison, Once, Option, Price
from proofload.comparing.judging import judged
from proofload.discovery import implementations
from proofload.lab import render_report
from proofload.nightly.chronicle import chronicle_of
from proofload.nightly.history import Index
from proofload.nightly.night import nights
from proofload.nightly.plan import Cell
from proofload.nightly.site import write_site
from proofload.procedures import capacity, load, skew
from proofload.progress import PlainProgress
from proofload.records import Capacity, Cost, Interval, Outcome, Status
from proofload.report.decision.page import decision_document
from proofload.report.formats import html
from proofload.report.text import printable
from proofload.report.view import view
from proofload.store.folder import write_json
from proofload.testing.page_kit import DESK, PHONE, Laid, hostile, laid_out, refuse_active_content, script
from proofload.testing.played_rollout import Play
from proofload.testing.simulated_bench import queue, simulated_run
from proofload.testing.synthetic_nights import Made, a_cell, write_night

NAME, VERSION, ERROR, ELSEWHERE = 1, 2, 3, 4
"""Which hostile text it is."""


def loaded(path: Path) -> None:
    settings = load.Settings.model_validate({"name": "load", "procedure": "load", "duration_s": 4})
    with simulated_run(path, settings, queue(0.001)) as bench:
        load.create().conduct(bench, settings)


def searched(path: Path) -> None:
    keys = {"start_rps": 100, "max_rps": 1500, "step_s": 2, "confirm_s": 5, "timeout_s": 1, "slo": {"p95_ms": 50}}
    settings = capacity.Settings.model_validate({"name": "capacity", "procedure": "capacity", **keys})
    with simulated_run(path, settings, queue(0.001)) as bench:
        capacity.create().conduct(bench, settings)


def compared(path: Path) -> None:
    """Two files, of which one feature has a hostile name and differs in text."""
    rows = pd.DataFrame({"event": [f"e{number}" for number in range(600)], hostile(ELSEWHERE): ["shop"] * 600})
    files = {name: str(path.parent / f"{name}.csv") for name in ("reference", "serving")}
    rows.to_csv(files["reference"], index=False)
    rows.assign(**{hostile(ELSEWHERE): hostile(ERROR)}).to_csv(files["serving"], index=False)
    settings = skew.Settings.model_validate({"name": "skew", "procedure": "skew", "key": "event", **files})
    with simulated_run(path, settings, queue(0.001)) as bench:
        skew.create().conduct(bench, settings)


RUNS: Mapping[str, Callable[[Path], Any]] = {
    "load": loaded,
    "capacity": searched,
    "soak": lambda path: soak.soaked(path, soak.HEALTHY),
    "peak-10x": lambda path: peak.run(path, "sheds"),
    "cold-start": lambda path: cold.conducted(path, cold.Manner(stall_s=0.8)),
    "canary-rollback": lambda path: Play(canary.failing(0.4), rolled_at_s=20.0).write(path, canary.settings()),
    "skew": compared,
    "blue-green": lambda path: two.switched(path, two.failing, taken_back=True),
    "shadow": lambda path: two.shadowed(path, two.differing),
    "ab-test": lambda path: two.ab(path, two.failing),
    "kafka-delivery": lambda path: kafka.a_run(path, kafka.losing(100)),
}


def poisoned(folder: Path) -> Path:
    """All that a server, a user or a host may have written in a run folder is hostile."""
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    run["target"] = {**run["target"], "name": hostile(NAME), "model": hostile(NAME)}
    run["canary"] = {"name": hostile(NAME), "transport": "http"}
    run |= {"command": hostile(ELSEWHERE), "environment": {"hostname": hostile(ELSEWHERE), "cpu": hostile(ELSEWHERE)}}
    write_json(folder / "run.json", run)
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    for event in events:
        if event["kind"] == "name":
            event["detail"]["text"] = hostile({"version": VERSION, "error": ERROR}[event["detail"]["of"]])
    last = events[-1]["t_ns"]
    events.insert(-1, {"t_ns": last, "kind": "client-warning", "detail": {"text": hostile(ERROR)}})
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    return folder


def of_runs(folder: Path) -> Iterator[tuple[str, str]]:
    for name, make in RUNS.items():
        run = folder / name
        make(run)
        [written] = render_report([poisoned(run)], ["html"])
        yield name, written.read_text(encoding="utf-8")
    bad = {Outcome.ERROR: 0.02, Outcome.WRONG: 0.01}
    worst = build_run(hostile(NAME), error_text=hostile(ERROR), version=hostile(VERSION), bad=bad)
    others = [build_run("flask", invalid=True, probes=False), build_empty(hostile(NAME))]
    yield "several runs", html.create().render([view(one) for one in (worst, *others)])
    yield "a run of nothing", html.create().render([view(build_empty(hostile(NAME)))])


def of_comparisons(folder: Path) -> Iterator[tuple[str, str]]:
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        lab = FakeLab(patched, medians={"b": 4.6})
        patched.setattr(running, "run_scenario", lab.run_scenario)
        (folder / "payloads.jsonl").write_text('{"body": {"value": 1}, "expect": 2}\n', encoding="utf-8")
        for name in "abc":
            (folder / f"{name}.target.toml").write_text(TARGET.format(name=name), encoding="utf-8")
        targets = [f"{name}.target.toml" for name in "abc"]
        asked = understood(targets, settings=["rate_rps=100", "slo.p99_ms=50"], pairs=3, quick=True)
        running.begin(asked, folder / "compare", command=hostile(ELSEWHERE))
        yield "compare, before anything was measured", _decision(asked, folder / "compare")
        running.make(asked, folder / "compare", command="", progress=PlainProgress())
        yield "compare, a load", _decision(asked, folder / "compare")
        complete = everything(judged(asked, folder / "compare"))
        yield "compare, everything", html.page(decision_document(renamed(complete)))


def _decision(asked: Asked, folder: Path) -> str:
    return html.page(decision_document(renamed(judged(asked, folder))))


def renamed(found: Comparison) -> Comparison:
    """Its options under hostile names, as labels show them."""
    to = {one.label: printable(f"{hostile(NAME)[:30]} {one.label} {hostile(NAME)}", 60) for one in found.options}
    return replace(
        found,
        options=tuple(replace(one, label=to[one.label]) for one in found.options),
        besides=tuple(replace(one, candidate=to[one.candidate], baseline=to[one.baseline]) for one in found.besides),
        once=tuple(replace(one, option=to[one.option]) for one in found.once),
        ranking=tuple((to[label], apart) for label, apart in found.ranking),
        readings=tuple((to[label], one) for label, one in found.readings),
    )


def everything(found: Comparison) -> Comparison:
    """With prices, a budget, and what each does in every situation, one of them not made."""
    once = [
        Once(name, name, option.label, status, (hostile(ERROR), "It fails."), f"{name}-{option.label}", "second")
        for name in ("capacity", "peak-10x", "cold-start", "canary-rollback")
        for option, status in zip(found.options, (Status.PASS, Status.FAIL, None), strict=True)
    ]
    return replace(
        found,
        options=tuple(_priced(option, 0.5 + 0.3 * place) for place, option in enumerate(found.options)),
        once=tuple(once),
        scenarios=(*found.scenarios, *dict.fromkeys(one.scenario for one in once)),
        settings={**found.settings, "budget_per_million": 1.5},
        environment={"cpu": hostile(ELSEWHERE)},
    )


def _priced(option: Option, money: float) -> Option:
    cost = Cost(money, Interval(money * 0.8, money * 1.3), "USD", priced=True, detail=hostile(ELSEWHERE))
    held = Capacity(1000.0 / money, Interval(900.0 / money, 1100.0 / money), True, (), None)
    price = Price(cost, True, held, Interval(4.0, 6.0), Interval(219.0, 350.0))
    return replace(option, price=price)


def of_nights(folder: Path) -> Iterator[tuple[str, str]]:
    """A history in which every text that comes from outside is hostile."""
    odd = Cell("load", "x", "cpu", hostile(ELSEWHERE)[:60], hostile(NAME)[:60])  # they name folders
    run = {"environment.cpu": hostile(VERSION), "environment.system": "Linux"}
    for number in range(14):
        made: dict[Cell, Made | str | None] = {
            odd: Made(said=hostile(ERROR), cost=1.5, run=run if number > 6 else {}, p99_ms=30.0 + number % 2),
            a_cell("a-target-with-a-name-that-is-as-long-as-they-may-be-" + "x" * 40): Made(said="x" * 900),
            a_cell("down"): f"error: {hostile(ERROR)}",
        }
        write_night(folder, number, made)
    first, _ = write_site(folder, chronicle_of(nights(folder), Index(folder, lambda _: None).rows()))
    for path in sorted(first.parent.rglob("*.html")):
        name = "nightly" if path == first else f"nightly: {path.stem[:40]}"
        yield name, path.read_text(encoding="utf-8")


def strip_of_locust() -> str:
    """What we add to Locust's page, without Locust."""
    runs = [{"run": 1, "target": hostile(NAME), "status": "invalid", "text": hostile(ERROR), "report": True}] * 4
    state = json.dumps({"text": hostile(ELSEWHERE), "runs": runs}).replace("<", "\\u003c")
    own = importlib.resources.files("proofload._locust").joinpath("strip.js").read_text(encoding="utf-8")
    answer = f"<script>window.fetch = async () => ({{text: async () => JSON.stringify({state})}});</script>"
    return f"<!DOCTYPE html><html><head></head><body><h1>Locust</h1>{answer}<script>{own}</script></body></html>"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    parts = (part(tmp_path_factory.mktemp("part")) for part in (of_runs, of_comparisons, of_nights))
    return {**dict(chain.from_iterable(parts)), "Locust's strip": strip_of_locust()}


def test_there_is_a_page_of_every_procedure() -> None:
    assert set(RUNS) == set(implementations("procedure"))


def test_pages_need_no_script_and_obey_no_text(pages: Mapping[str, str]) -> None:
    for name, page in pages.items():
        if name == "Locust's strip":
            continue
        refuse_active_content(page)
        assert "Content-Security-Policy" in page, name
        assert not {"\x1b", "\u202e"} & set(page), name


@pytest.mark.real
def test_every_page_can_be_read_on_a_desk_and_on_a_phone(
    tmp_path: Path, pages: Mapping[str, str], required_program: Callable[..., str]
) -> None:
    browser = required_program("chromium", "chromium-browser", "google-chrome")
    shown = list(product(pages, (DESK, PHONE)))
    seen = laid_out(browser, [(pages[name], width) for name, width in shown], tmp_path)
    for (name, width), laid in zip(shown, seen, strict=True):
        assert (laid.client, laid.scroll, laid.out, laid.errors) == (width, width, (), ()), name
        assert "\u202e" not in laid.text, name
        assert _texts(laid) or "alert" not in pages[name], name
    told = {name: laid for (name, _), laid in zip(shown, seen, strict=True)}
    assert _texts(told["several runs"]) >= {NAME, VERSION, ERROR}
    assert _texts(told["skew"]) >= {NAME, ERROR, ELSEWHERE}
    assert _texts(told["compare, everything"]) >= {NAME, ERROR, ELSEWHERE}
    assert _texts(told["nightly"]) >= {NAME, ERROR, ELSEWHERE}
    assert _texts(told["Locust's strip"]) == {NAME, ERROR, ELSEWHERE}


def _texts(laid: Laid) -> set[int]:
    return {number for number in (NAME, VERSION, ERROR, ELSEWHERE) if script(number) in laid.text}
