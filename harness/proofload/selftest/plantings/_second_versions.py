"""What a scenario of two versions is tried on: second versions with a defect, a better one, and the same again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proofload.selftest import Case


def second_versions(scenario: str, named: Mapping[str, str]) -> Sequence[Case]:
    """`named`: faults of the second version, each with the cause that it is to be told by."""
    return (
        *(Case(scenario, "fastapi", fault, (cause,)) for fault, cause in named.items()),
        Case(scenario, "fastapi", "faster", note="a better version"),
        *(Case(scenario, target) for target in ("fastapi", "flask", "grpc")),
    )
