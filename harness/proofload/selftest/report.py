"""reports/selftest.md: counts, rates and bounds; what was found, what was named, what was not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from proofload.analysis.shares import two_sided_bounds
from proofload.records import Status
from proofload.selftest import Case, Shape
from proofload.selftest.campaign import SLACK, Trialled
from proofload.selftest.picture import curves_picture
from proofload.selftest.real import ATTEMPTS, Run, shortfalls
from proofload.selftest.simulated import CONFIDENCE, Tally
from proofload.selftest.windows import STRIDE, Replayed
from proofload.verdict.slo import ALPHA_FAIL, ALPHA_PASS

CURVES = "selftest-curves.svg"


def curves(trialled: Sequence[Trialled]) -> Mapping[str, list[Tally]]:
    """The tallies of each detection curve."""
    found: dict[str, list[Tally]] = {}
    for one in trialled:
        if one.tally.shape.curve:
            found.setdefault(f"{one.scenario}: {one.tally.shape.curve}", []).append(one.tally)
    return {name: tallies for name, tallies in found.items() if len(tallies) > 1}


def write(
    out: Path,
    trialled: Sequence[Trialled],
    runs: Sequence[Run],
    replays: Sequence[Replayed] = (),
    *,
    command: str,
    made_with: str,
    unseen: int,
) -> Path:
    """Writes selftest.md and its picture into `out`. `unseen`: real runs that were planned and not made."""
    drawn = curves(trialled)
    lines = ["# Self-test", "", f"Made by `{command}` with {made_with}.", ""]
    lines += _summary(trialled, runs, unseen)
    if trialled:
        lines += ["", "## Simulated histories", "", *_simulated(trialled)]
    if drawn:
        (out / CURVES).write_text(curves_picture(drawn) + "\n", encoding="utf-8")
        lines += ["", f"![Share of fail and pass decisions against magnitude]({CURVES})"]
    if runs:
        lines += ["", "## Real servers", "", *_real(runs)]
    if replays:
        lines += ["", "## Windows of long recordings of healthy servers", "", *_windows(replays)]
    path = out / "selftest.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _summary(trialled: Sequence[Trialled], runs: Sequence[Run], unseen: int) -> Iterator[str]:
    if trialled:
        stating = [one for one in trialled if _states_a_rate(one)]
        judged = [one for one in stating if one.kept is not None]
        broken = [one for one in judged if not one.kept]
        histories = sum(one.tally.histories for one in trialled)
        yield (
            f"- Simulated: {histories:,} histories of {len(trialled)} shapes; the stated rates were kept by "
            f"{len(judged) - len(broken)} of the {len(judged)} shapes that have one{_how_strict(judged)}."
        )
        if open_ := len(stating) - len(judged):
            yield f"  - {open_} of those that state a rate had too few histories to show that the stated rate was kept"
        for one in broken:
            yield f"  - not kept: {one.trial}, {one.tally.shape.name}"
    if not runs:
        yield "- No real server was tried."
    planted = [run for run in runs if run.case.expect]
    healthy = [run for run in runs if not run.case.expect]
    if planted:
        failed = sum(run.status is Status.FAIL for run in planted)
        besides = sum(_named_besides(run) for run in planted)
        yield (
            f"- Planted defects: {failed} of {len(planted)} runs failed, and {sum(run.right for run in planted)} named "
            f"the cause ({_bounds(sum(run.right for run in planted), len(planted))} at 95 %); {besides} named "
            "something else, too, or instead."
        )
    if healthy:
        failed = sum(run.status is Status.FAIL for run in healthy)
        yield (
            f"- Healthy servers and negative controls: {failed} of {len(healthy)} runs failed (false alarms "
            f"{_bounds(failed, len(healthy))}), {sum(run.right for run in healthy)} passed."
        )
    repeated = sum(run.attempts - 1 for run in runs)
    if repeated:
        yield (
            f"- {repeated} attempts came out invalid (the lab itself was disturbed, and judged nothing) and were made "
            f"again, {ATTEMPTS} times in all at most."
        )
    for told in shortfalls(runs):
        yield f"  - not kept: {told}"
    if unseen:
        yield f"- {unseen} real runs that were planned have not been made: nothing is said of them."


def _states_a_rate(one: Trialled) -> bool:
    """A chance of 1 is none: it cannot be exceeded. What is reported apart is held to nothing."""
    shape = one.tally.shape
    return shape.kind != "apart" and (shape.detect is not None or (shape.alpha is not None and shape.alpha < 1.0))


def _how_strict(judged: Sequence[Trialled]) -> str:
    """How many are held to what verdicts promise, and how many to less, or to something else."""
    counts = Counter(_held_to(one.tally.shape) for one in judged)
    return f": {'; '.join(f'{count} held to {rates}' for rates, count in counts.most_common())}" if judged else ""


def _held_to(shape: Shape) -> str:
    if shape.kind == "coverage":
        return "the level of an interval"
    alpha = 1.0 if shape.alpha is None else shape.alpha
    house = alpha <= (ALPHA_PASS if shape.kind == "effect" else ALPHA_FAIL)
    return f"fail ≤ {ALPHA_FAIL:g} or pass ≤ {ALPHA_PASS:g}" if house else "looser rates, which their rows state"


def _simulated(trialled: Sequence[Trialled]) -> Iterator[str]:
    yield (
        "Each shape is one kind of history. *null*: harmless, at most α may fail. *effect*: harmful. *coverage*: how "
        "often an interval missed. *apart*: not to be told apart in a run of this length; reported, not bounded. "
        f"Bounds are one-sided at 95 %; a null shape keeps its α when the upper bound is at most {SLACK:g} α."
    )
    for trial in dict.fromkeys((one.scenario, one.trial, one.decides) for one in trialled):
        rows = [one for one in trialled if (one.scenario, one.trial, one.decides) == trial]
        yield ""
        yield f"### {trial[0]}: {trial[2]}"
        yield ""
        yield "| shape | kind | magnitude | histories | fail | (bound) | pass | inconclusive | stated | kept |"
        yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |"
        for one in rows:
            yield _row(one)
        for one in rows:
            if one.tally.shape.why:
                yield f"\n{one.tally.shape.name}: {one.tally.shape.why}"


def _row(one: Trialled) -> str:
    seen, shape = one.tally, one.tally.shape
    bound = f"≥ {seen.lower(Status.FAIL):.2%}" if shape.kind == "effect" else f"≤ {seen.upper(Status.FAIL):.3%}"
    stated = []
    if shape.alpha is not None and shape.alpha < 1.0:
        stated.append(f"{'pass' if shape.kind == 'effect' else 'fail'} ≤ {shape.alpha:g}")
    if shape.detect is not None:
        stated.append(f"fail ≥ {shape.detect:.0%}")
    kept = "" if one.kept is None or not _states_a_rate(one) else "yes" if one.kept else "**no**"
    magnitude = "" if shape.magnitude is None else f"{shape.magnitude:g}"
    shares = " | ".join(f"{seen.share(status):.2%}" for status in (Status.PASS, Status.INCONCLUSIVE))
    return (
        f"| {shape.name} | {shape.kind} | {magnitude} | {seen.histories:,} | {seen.share(Status.FAIL):.3%} | {bound} | "
        f"{shares} | {', '.join(stated)} | {kept} |"
    )


def _real(runs: Sequence[Run]) -> Iterator[str]:
    yield (
        "Whole quick scenarios against servers on this machine. Start command, fault and logs were taken out of each "
        "run folder before it was judged. A defect counts as found when the run fails and a failed check names a cause "
        "that was expected; how many runs named other causes, too, or instead, stands under *others*."
    )
    for scenario in dict.fromkeys(run.case.scenario for run in runs):
        own = [run for run in runs if run.case.scenario == scenario]
        yield ""
        yield f"### {scenario}"
        yield ""
        yield "| target | planted | runs | fail | pass | inconclusive | invalid | not run | named | others | right |"
        yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: |"
        for key in dict.fromkeys(_key(run.case) for run in own):
            yield _case_row([run for run in own if _key(run.case) == key])
        for run in own:
            if not run.right and run.why:
                planted = run.case.fault or "healthy"
                what = f"{run.case.target}, {planted}, run {run.number + 1}: {run.status or 'not run'}"
                yield f"\n{what}: {_plain(run.why)}"


def _windows(replays: Sequence[Replayed]) -> Iterator[str]:
    yield (
        "Each window is judged as a run of its length. One begins after the one before by "
        f"{STRIDE:.0%} of that, so they are not independent; as many as fit side by side are."
    )
    yield ""
    yield "| scenario | target | recorded | windows | side by side | fail | pass | inconclusive | invalid |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    states = (Status.FAIL, Status.PASS, Status.INCONCLUSIVE, Status.INVALID)
    for one in replays:
        counts = " | ".join(str(one.counts.get(status, 0)) for status in states)
        yield (
            f"| {one.case.scenario} | {one.case.target} | {one.recorded_s:.0f} s | {sum(one.counts.values())} | "
            f"{one.side_by_side} | {counts} |"
        )
    for one in replays:
        for why in one.whys:
            yield f"\n{one.case.target}, {_plain(why)}"


def _key(case: Case) -> tuple[str, str, str, str]:
    return case.target, case.fault, case.note, repr(sorted(case.settings.items()))


def _case_row(runs: Sequence[Run]) -> str:
    case = runs[0].case
    states = Counter(run.status for run in runs)
    named = Counter(cause for run in runs for cause in run.causes)
    told = ", ".join(f"{cause} {count}×" for cause, count in named.most_common())
    planted = case.fault or (case.note or "nothing: healthy")
    counts = " | ".join(
        str(states.get(status, 0)) for status in (Status.FAIL, Status.PASS, Status.INCONCLUSIVE, Status.INVALID, None)
    )
    others = sum(_named_besides(run) for run in runs) if case.expect else ""
    return (
        f"| {case.target} | {_plain(planted)} | {len(runs)} | {counts} | {told} | {others} | "
        f"{sum(run.right for run in runs)} of {len(runs)} |"
    )


def _named_besides(run: Run) -> bool:
    """Whether a failed check names a cause that is none of those expected."""
    return bool(set(run.causes) - set(run.case.expect))


def _bounds(hits: int, of: int) -> str:
    low, high = two_sided_bounds(hits, of, CONFIDENCE)
    return f"{low:.0%}–{high:.0%}"


def _plain(text: str) -> str:
    return " ".join(text.replace("|", "/").split())[:400]
