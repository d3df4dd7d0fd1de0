"""Every probe that is found passes the kit; a new file in probes/ is tested unasked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest

from proofload import discovery
from proofload.probes import Probe, Subject
from proofload.records import Reading
from proofload.testing import probe_kit
from proofload.testing.probe_kit import ProbeCase

PROBES = list(discovery.implementations("probe"))


class Inventive:
    """A probe with every fault that the kit looks for."""

    interval_s = 0.0

    def read(self) -> Iterable[Reading]:
        sum(range(100_000))
        return [Reading(0, "", "x", float("nan")), Reading(0, "", "x", 0.0)]

    def close(self) -> None:
        """Nothing to close."""


def create(subject: Subject) -> Probe | None:
    return Inventive()


@pytest.fixture(scope="module")
def standing() -> Iterator[ProbeCase]:
    with ProbeCase.standing(create) as case:
        yield case


def test_the_probes_are_found() -> None:
    assert {"process", "prometheus"} <= set(PROBES)


@pytest.mark.real
@pytest.mark.parametrize("claim", probe_kit.CLAIMS, ids=probe_kit.claim_name)
@pytest.mark.parametrize("name", PROBES)
def test_it_conforms(name: str, claim: Callable[[ProbeCase], None], standing: ProbeCase) -> None:
    claim(ProbeCase(discovery.module_for("probe", name).create, standing.subject, standing.gone))


@pytest.mark.real
@pytest.mark.parametrize(
    "claim", [c for c in probe_kit.CLAIMS if "closing" not in c.__name__], ids=probe_kit.claim_name
)
def test_the_kit_catches_a_probe_that_breaks_the_claim(claim: Callable[[ProbeCase], None], standing: ProbeCase) -> None:
    with pytest.raises(AssertionError):
        claim(standing)
