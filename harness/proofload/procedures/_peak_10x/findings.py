"""From the columns of a peak-10x run to its checks, its causes and the sentences that answer the question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.company import chance_faster, held_back
from proofload.analysis.goodput import FEWEST_BLOCKS, Ratio, goodput_blocks, ratio_of_means
from proofload.analysis.overload_recovery import Baseline, Recovery, baseline_of, recovery
from proofload.analysis.summary import ANSWERED, summarise, with_outcome
from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.procedures import Circumstances, Evidence, Findings, ended_early
from proofload.procedures._container_readings import cpu_limit_cores, throttled_share
from proofload.procedures._peak_10x.neighbours import excused, others_share
from proofload.procedures._peak_10x.plan import BACK, Settings
from proofload.procedures._peak_10x.reading import COLD, Reading, Step, kept_up, latency_ms, span, within
from proofload.procedures._peak_10x.shown import Shown
from proofload.procedures._peak_10x.signs import signs_of
from proofload.procedures._peak_10x.unseen import as_far_as_seen, unseen
from proofload.procedures._peak_10x.validity import peak_validity
from proofload.procedures._peak_10x.words import details, headline
from proofload.records import SAMPLE_DTYPE, Check, Interval, Outcome, Samples, Status
from proofload.verdict import peak as verdict
from proofload.verdict.limits import Throttling, throttling_check
from proofload.verdict.peak_causes import Signs, cause_of_collapse, cause_of_no_recovery
from proofload.verdict.slo import slo_checks
from proofload.verdict.status import overall

CHECKS = 8
"""Among which the error rate of a fail is divided; the SLO's own limits share one part."""
LIGHT_PART = 0.1
"""Lone requests may be slower than others by this part of their time."""


def found(reading: Reading, evidence: Evidence, settings: Settings) -> Findings:
    around = Circumstances.of(evidence)
    errors = verdict.Errors(settings.alpha_fail / CHECKS, settings.alpha_pass)
    shown = _shown(reading, evidence, settings, around, errors)
    validity, health = peak_validity(
        [(step.phase, step.samples, step.multiple > 1.0 and not step.back) for step in reading.steps]
        or [(phase, samples, True) for phase, samples in reading.others if reading.served_nothing],
        around,
        deadline_ms=settings.deadline_s * 1000,
    )
    summaries = tuple(
        summarise(phase, samples, timeout_s=settings.timeout_s)
        for phase, samples in (*reading.others, *((step.phase, step.samples) for step in reading.steps))
    )
    said = (
        not ended_early(evidence)
        and all(item.ok for item in validity)
        and (reading.back is not None or reading.served_nothing)
    )
    who = str(evidence.run["target"]["name"])
    status = overall(validity, shown.checks)
    return Findings(
        phases=summaries,
        checks=shown.checks,
        validity=validity,
        client=health,
        headline=headline(reading, shown, settings, who, status) if said else (),
        details=details(reading, shown, settings),
    )


def _shown(
    reading: Reading, evidence: Evidence, settings: Settings, around: Circumstances, errors: verdict.Errors
) -> Shown:
    ratios = _ratios(reading, errors)
    baseline = _baseline(reading)
    back = _recovery(reading, baseline, settings)
    lone = _lone(reading)
    lone_ms = float(np.median(lone.service_ns)) / NS_PER_MS if len(lone) else None
    checks = [
        *_base(reading, settings),
        *_slo(reading, back, settings, around),
        *_wrong(reading, around),
        verdict.goodput_check(ratios, settings.goodput_ratio),
        _excess(reading, settings, errors),
        *_refusals(reading, settings, errors),
        verdict.recovery_check(back, baseline, settings.recover_within_s, settings.settled_s),
        _light(reading, settings, errors),
        _responsive(reading, settings, errors, lone_ms),
        _threads(reading, evidence, settings, errors),
    ]
    missing = unseen(reading, evidence.run)
    checks = [seen for check in checks for seen in as_far_as_seen(check, missing)]
    others = others_share(evidence, reading, around)
    checks = [excused(check, others) for check in checks]
    if reading.peak is None or reading.back is None:
        checks = [_not_reached(check) for check in checks]
    named = _named(checks, reading, back, settings)
    named = (*named, *_throttling(reading, named))
    left_out = {name: reason.why for name, reason in missing.items() if not reason.settle}
    return Shown(ratios, baseline, back, lone_ms, named, left_out, others)


def _named(checks: Sequence[Check], reading: Reading, back: Recovery | None, settings: Settings) -> tuple[Check, ...]:
    failed = {check.name for check in checks if check.status is Status.FAIL}
    signs = signs_of(
        reading,
        back,
        settings,
        blocked=any(check.name == "responsiveness" and _beyond(check) for check in checks),
        oversubscribed="threads_per_core" in failed,
    )
    if signs is None:
        cause = "oversubscribed-threads" if "threads_per_core" in failed else ""
        return tuple(replace(check, cause=cause) if check.name == "base_load" else check for check in checks)
    return tuple(_blamed(check, signs) for check in checks)


def _beyond(check: Check) -> bool:
    """What was seen is beyond the limit: enough to name a cause by, where another check has failed."""
    return check.observed is not None and check.limit is not None and check.observed > check.limit


def _blamed(check: Check, signs: Signs) -> Check:
    if check.name == "light_load" and check.cause and signs.blocked:
        return replace(check, cause="blocked-event-loop")  # an answer that is ready waits for the loop, too
    if check.status is not Status.FAIL or check.cause:
        return check
    if check.name == "recovery":
        return replace(check, cause=cause_of_no_recovery(signs))
    if check.name in {"goodput_at_peak", "excess_refused"}:
        return replace(check, cause=cause_of_collapse(signs))
    return check


def _not_reached(check: Check) -> Check:
    """A run that did not come to its end shows nothing good."""
    if check.status is not Status.PASS:
        return check
    return replace(check, status=Status.INCONCLUSIVE, settle="run it again and let it end by itself")


def _base(reading: Reading, settings: Settings) -> tuple[Check, ...]:
    """A target that served nothing in time when it was asked little has no base load to begin with."""
    if reading.steps or not reading.served_nothing:
        return ()
    told = f"none of {len(reading.everything):,} requests went well, at {settings.trickle_rps:g}/s and less"
    return (Check("base_load", Status.FAIL, 0.0, settings.slo.ok_share, "share", Interval(0.0, None), told),)


def _ratios(reading: Reading, errors: verdict.Errors) -> dict[str, Ratio | None]:
    """Goodput of the hold over that of the saturated steps together, and of the highest step that was kept up with.

    Both, because either may be missing or misleading: an unsaturated step shows only a part of what the target can do,
    and a saturated one may already be beyond the cliff. Which steps count is not chosen by their goodput's size.
    """
    peak = reading.peak
    if peak is None:
        return {}
    above = _blocks(reading, peak)
    held = [step for step in reading.ramp if kept_up(step)]
    full = [step for step in reading.ramp if not kept_up(step) and step.multiple > 1.0]
    references: dict[str, NDArray[np.float64] | float] = {}
    if full:
        blocks = np.concatenate([_blocks(reading, step) for step in full])
        if len(blocks) >= FEWEST_BLOCKS or not held:
            references[" and ".join(step.phase.name for step in full)] = blocks
    if held:
        references[held[-1].phase.name] = _goodput_rps(reading, held[-1])
    each = errors.fail / max(1, len(references))
    return {
        name: ratio_of_means(above, below, alpha_fail=each, alpha_pass=errors.good)
        for name, below in references.items()
    }


def _goodput_rps(reading: Reading, step: Step) -> float:
    blocks = _blocks(reading, step)
    return float(blocks.mean()) if len(blocks) else 0.0


def _blocks(reading: Reading, step: Step) -> NDArray[np.float64]:
    return goodput_blocks(reading.done_ok_ns, step.begin_ns, step.end_ns)


def _baseline(reading: Reading) -> Baseline | None:
    if not reading.base:
        return None
    samples = _joined([step.samples for step in reading.base])
    return baseline_of(samples.latency_ns, with_outcome(samples, Outcome.OK))


def _recovery(reading: Reading, baseline: Baseline | None, settings: Settings) -> Recovery | None:
    back = reading.back
    if back is None or baseline is None:
        return None
    return recovery(
        np.ascontiguousarray(back.samples.table["intended_ns"]),
        back.samples.latency_ns,
        with_outcome(back.samples, Outcome.OK),
        baseline,
        begin_ns=back.begin_ns,
        end_ns=back.end_ns,
        settled_s=settings.settled_s,
    )


def _slo(reading: Reading, back: Recovery | None, settings: Settings, around: Circumstances) -> tuple[Check, ...]:
    """The SLO binds up to 1×, and again from recovery on."""
    parts = [step.samples for step in reading.base]
    seconds = sum(step.phase.duration_s for step in reading.base)
    if reading.back is not None and back is not None and back.after_s is not None:
        again_ns = reading.back.begin_ns + round(back.after_s * NS_PER_S)
        after = reading.back.samples
        parts.append(after.where(after.table["intended_ns"] >= again_ns))
        seconds += (reading.back.end_ns - again_ns) / NS_PER_S
    if not parts or not seconds:
        return ()
    samples = _joined(parts)
    base = reading.base[0].phase if reading.base else reading.steps[0].phase
    phase = replace(base, name=f"up to 1× and {BACK}", planned=len(samples), duration_s=seconds)
    limits = {f"{name}_ms": limit for name, limit in settings.slo.limits().items()}
    return slo_checks(
        summarise(phase, samples, timeout_s=settings.timeout_s),
        samples,
        {**limits, "ok_share": settings.slo.ok_share},
        alpha_fail=settings.alpha_fail / CHECKS,
        alpha_pass=settings.alpha_pass,
        answers_checked=around.answers_checked,
        unchecked=around.unchecked,
        timeout_s=settings.timeout_s,
    )


def _wrong(reading: Reading, around: Circumstances) -> tuple[Check, ...]:
    """Answers must stay right under overload; one that is not is proof enough."""
    hard = [step.samples for step in reading.steps if step.multiple > 1.0]
    if not around.answers_checked or not hard:
        return ()
    samples = _joined(hard)
    wrong = int(np.count_nonzero(with_outcome(samples, Outcome.WRONG)))
    answered = int(np.count_nonzero(with_outcome(samples, *ANSWERED)))
    if not wrong:
        return ()
    told = f"{wrong:,} of {answered:,} answers above the base load differ from the expected one; none may"
    share = wrong / answered
    return (Check("wrong_at_peak", Status.FAIL, share, 0.0, "share", Interval(share, share), told),)


def _excess(reading: Reading, settings: Settings, errors: verdict.Errors) -> Check:
    peak = reading.peak
    samples = _joined([]) if peak is None else peak.counted
    in_time = with_outcome(samples, Outcome.SHED) & (latency_ms(samples) <= settings.refusal_limit_ms)
    sought = settings.base_rate_rps is None
    return verdict.excess_check(
        with_outcome(samples, Outcome.OK), in_time, settings.refused_share, errors, overload_sought=sought
    )


def _refusals(reading: Reading, settings: Settings, errors: verdict.Errors) -> tuple[Check, ...]:
    if reading.peak is None:
        return ()
    counted = reading.peak.counted
    took = latency_ms(counted.where(with_outcome(counted, Outcome.SHED)))
    check = verdict.refusal_check(took, settings.refusal_limit_ms, errors)
    return () if check is None else (check,)


def _light_samples(reading: Reading) -> tuple[Samples, NDArray[np.int64]]:
    """ok answers below saturation, and the company each found; without those that may have found it cold."""
    table = reading.everything.table
    chosen = within(table["intended_ns"], reading.light()) & (reading.everything.outcome == Outcome.OK)
    chosen[:COLD] = False
    return reading.everything.where(chosen), reading.found_in_flight[chosen]


def _lone(reading: Reading) -> Samples:
    samples, company = _light_samples(reading)
    return samples.where(company == 0)


def _light(reading: Reading, settings: Settings, errors: verdict.Errors) -> Check:
    samples, company = _light_samples(reading)
    service = np.asarray(samples.service_ns / NS_PER_MS, dtype=np.float64)
    alone, others = service[company == 0], service[company > 0]
    medians = tuple(float(np.median(part)) if len(part) else 0.0 for part in (alone, others))
    margin_ms = max(settings.light_load_ms, LIGHT_PART * medians[0])
    each = errors.fail / 2
    return verdict.light_load_check(
        chance_faster(others, alone, margin_ms, alpha_fail=each, alpha_pass=errors.good),
        held_back(samples.table["sent_ns"], samples.table["done_ns"], company),
        margin_ms=margin_ms,
        limit=settings.light_load_chance,
        medians=(medians[0], medians[1]),
        errors=errors,
    )


def _responsive(reading: Reading, settings: Settings, errors: verdict.Errors, lone_ms: float | None) -> Check:
    looks = reading.looks
    limit = settings.liveness_share
    if looks is None or lone_ms is None:
        return verdict.responsiveness_check(np.zeros(0, dtype=np.bool_), limit, 0.0, errors)
    light = looks.within(reading.light())
    idle = looks.took_ms[light & (looks.found_in_flight == 0) & looks.ok]
    busy = light & (looks.found_in_flight > 0)
    idle_ms = float(np.median(idle)) if len(idle) else float(np.min(looks.took_ms[busy], initial=0.0))
    slow_ms = verdict.slow_look_ms(idle_ms, lone_ms, settings.liveness_floor_ms, settings.liveness_part)
    slow = (looks.took_ms[busy] > slow_ms) | ~looks.ok[busy]
    return verdict.responsiveness_check(slow, limit, slow_ms, errors)


def _threads(reading: Reading, evidence: Evidence, settings: Settings, errors: verdict.Errors) -> Check:
    series = reading.process.get("runnable_threads")
    spans = [(step.begin_ns, step.end_ns) for step in reading.steps if step.peak or step is reading.ramp[-1]]
    if reading.served_nothing:
        spans = [span(phase) for phase, _ in reading.others]
    seen = np.zeros(0) if series is None else series.values[within(series.t_ns, spans)]
    return verdict.threads_check(seen, cores_of(evidence), settings.threads_per_core, errors)


def _throttling(reading: Reading, checks: Sequence[Check]) -> tuple[Check, ...]:
    hold = [] if reading.peak is None else [(reading.peak.begin_ns, reading.peak.end_ns)]
    seen = Throttling(
        light=throttled_share(reading.container, reading.light()),
        peak=throttled_share(reading.container, hold),
        limit_cores=cpu_limit_cores(reading.container),
    )
    check = throttling_check(seen, checks)
    if check is None:
        return ()
    return (_not_reached(check) if reading.peak is None or reading.back is None else check,)


def cores_of(evidence: Evidence) -> int:
    """How many cores the target may use, as far as is known: those it was placed on, else all of this machine."""
    placed = evidence.run["placement"].get("target_cores") or ()
    if placed:
        return len(placed)
    return int(evidence.run["environment"].get("cores") or 1)


def _joined(parts: Sequence[Samples]) -> Samples:
    tables = [part.table for part in parts]
    return Samples(np.concatenate(tables) if tables else np.zeros(0, dtype=SAMPLE_DTYPE))
