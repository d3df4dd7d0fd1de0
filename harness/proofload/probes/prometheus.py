"""A target's own metrics: any endpoint in the Prometheus text format or OpenMetrics.

Readings (source "prometheus") have the name as exposed; a series' labels are summed away, which is
right for counters and for the _sum and _count of histograms and summaries, and for gauges that add up
(a queue's depth). Buckets, quantiles and creation times are left out, and so is a name one of whose
series is not a finite number: a sum over the rest would be a wrong number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import httpx
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from proofload.clock import NS_PER_S, Clock, MonotonicClock
from proofload.errors import TargetError
from proofload.probes import Subject
from proofload.records import Reading
from proofload.target_model import without_secrets

SOURCE = "prometheus"
TIMEOUT_S = 0.8
MAX_BYTES = 4 * 1024 * 1024
MAX_SERIES = 20_000
MAX_NAMES = 500
_ACCEPT = "text/plain;version=0.0.4, application/openmetrics-text;version=1.0.0;q=0.5"


def create(subject: Subject) -> PrometheusProbe | None:
    return PrometheusProbe(subject) if subject.metrics_url else None


class PrometheusProbe:
    """Scrapes one URL. Raises TargetError for anything but an answer that parses, in time and in size."""

    interval_s = 1.0

    def __init__(self, subject: Subject, *, clock: Clock | None = None) -> None:
        self._url = subject.metrics_url
        self._arm = subject.arm
        self._clock = clock or MonotonicClock()
        # Only numbers are read, over loopback as a rule, from a server that may sign its own certificate.
        self._client = httpx.Client(verify=False, timeout=TIMEOUT_S, trust_env=False)  # noqa: S501

    def read(self) -> Iterable[Reading]:
        text, is_openmetrics = self._scrape()
        now_ns = self._clock.now_ns()
        try:
            sums = summed(text, is_openmetrics=is_openmetrics)
        except (ValueError, IndexError, KeyError, TypeError) as exc:  # what the parsers raise on broken text
            raise TargetError(
                f"{without_secrets(self._url)} does not answer with Prometheus metrics",
                evidence=f"{type(exc).__name__}: {exc}; it begins {text[:80]!r}",
                remedy="correct probe.metrics in the target file",
            ) from exc
        return [Reading(now_ns, SOURCE, name, value, self._arm) for name, value in sums.items()]

    def close(self) -> None:
        self._client.close()

    def _scrape(self) -> tuple[str, bool]:
        deadline_ns = self._clock.now_ns() + round(TIMEOUT_S * NS_PER_S)
        body = bytearray()
        try:
            with self._client.stream("GET", self._url, headers={"Accept": _ACCEPT}) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise self._failed(f"it answered {answer.status_code}")
                for chunk in answer.iter_bytes():
                    body += chunk
                    if len(body) > MAX_BYTES:
                        raise self._failed(f"its answer is longer than {MAX_BYTES} bytes")
                    if self._clock.now_ns() > deadline_ns:
                        raise self._failed(f"its answer took longer than {TIMEOUT_S} s")
                kind = answer.headers.get("Content-Type", "")
        except httpx.HTTPError as exc:
            raise self._failed(f"{type(exc).__name__} {exc}".rstrip()) from exc
        return body.decode("utf-8", errors="replace"), "openmetrics" in kind

    def _failed(self, evidence: str) -> TargetError:
        return TargetError(f"the metrics at {without_secrets(self._url)} cannot be read", evidence=evidence)


def summed(text: str, *, is_openmetrics: bool = False) -> dict[str, float]:
    """The sums over labels, by name, the first MAX_NAMES. Raises ValueError for broken text, or too much of it."""
    sums: dict[str, float] = {}
    for number, sample in enumerate(_samples(text, is_openmetrics=is_openmetrics)):
        if number >= MAX_SERIES:
            raise ValueError(f"more than {MAX_SERIES} series")
        if _is_plain(sample):
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    finite = [(name, value) for name, value in sums.items() if math.isfinite(value)]
    return dict(finite[:MAX_NAMES])


def _samples(text: str, *, is_openmetrics: bool) -> Iterator[Sample]:
    parse = openmetrics.text_string_to_metric_families if is_openmetrics else text_string_to_metric_families
    families: Iterable[Metric] = parse(text)
    for family in families:
        yield from family.samples


def _is_plain(sample: Sample) -> bool:
    detail = sample.name.endswith(("_bucket", "_created")) or "le" in sample.labels or "quantile" in sample.labels
    return not detail
