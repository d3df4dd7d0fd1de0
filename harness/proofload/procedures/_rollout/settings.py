"""The keys that every rollout has: who the second version is, who moves the traffic, who is forced to it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_serializer, field_validator

from proofload import discovery
from proofload.drivers import Driver
from proofload.scenarios import Scenario, Slo
from proofload.target_model import Target

_WARM_UP_S = 3.0
_MIRRORED = 0.1


class RolloutSettings(Scenario):
    """Keys of canary-rollback, blue-green, shadow and ab-test."""

    canary: str | None = None
    """The second version: a target's name or file; None: the same target again."""
    canary_version: str | None = None
    """The stamp that the canary's answers are to bear, where its target file does not say (expected_version). Without
    either, that of the baseline where it is the same target twice, else whichever it bears most often."""
    canary_header: str = ""
    """ "Name: value": payloads that carry this header go to the canary whatever its share."""
    driver: dict[str, Any] = Field(default_factory=lambda: {"name": "client"})
    """[driver]: `name`, and what that driver understands."""
    mirror: Annotated[float, Field(ge=0, le=1)] | Literal["auto"] = "auto"
    """The share of requests also sent to the canary as copies whose predictions are compared. Only for requests that
    may be sent twice. "auto": a tenth where the lab started both versions itself, none where they were running."""

    @field_validator("canary_header")
    @classmethod
    def _is_a_header(cls, header: str) -> str:
        if header and not all(part.strip() for part in header.partition(":")):
            raise ValueError('a header with its value, like "X-Canary: always"')
        return header

    @field_validator("driver")
    @classmethod
    def _names_a_driver(cls, driver: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(driver.get("name"), str):
            raise ValueError('a table with a name, like [driver] name = "client"')
        return driver

    @field_serializer("slo")
    def _as_it_was_set(self, slo: Slo) -> dict[str, Any]:
        """So that a run folder tells a limit somebody set from a default: they bind differently when it is judged."""
        return slo.model_dump(exclude_unset=True)

    @property
    def forcing_header(self) -> tuple[str, str]:
        name, _, value = self.canary_header.partition(":")
        return name.strip(), value.strip()

    @property
    def settle_in_s(self) -> float:
        """How long both versions are warmed before anything is measured."""
        return _WARM_UP_S if self.warmup_s == "auto" else self.warmup_s

    def mover(self) -> Driver:
        """The driver, made. Raises InputError for one that is not known, or for keys it does not understand."""
        settings = {key: value for key, value in self.driver.items() if key != "name"}
        made: Driver = discovery.module_for("driver", self.driver["name"]).create(settings)
        return made

    def mirrored(self, *versions: Target) -> float:
        if self.mirror != "auto":
            return self.mirror
        return 0.0 if any(version.is_external for version in versions) else _MIRRORED
