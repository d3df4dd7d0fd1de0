"""The keys of a skew scenario, and the names of its phases."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from proofload.scenarios import Alpha, Positive, Rate, Scenario, Seconds

FIRST, SINGLY, TOGETHER = "first", "singly", "together"
Part = Annotated[float, Field(ge=0, lt=1)]


class Settings(Scenario):
    """Shares are of events (distinct ids), 0 to 1."""

    reference: str | None = None
    """Features as training computes them: .csv, .parquet or .jsonl, relative to the scenario file."""
    serving: str | None = None
    """Features as serving logged them. With it, no target is needed."""
    key: str | None = None
    """The column that joins the two; live: the column of `reference` that holds the payloads' ids."""
    columns: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """The features to compare; empty: all that training has, but for what is named below."""
    features: str = "$.features"
    """Live: JSONPath of the features in an answer."""
    ask: dict[str, Any] | None = None
    """Live: members added to each request. Absent: {explain = true} where offline features were found beside the
    payloads, else none."""
    prediction: str | None = None
    """Files: the column of predictions on both sides; absent: one that is called so."""
    decision_threshold: float | None = 0.5
    """Predictions of at least this are one decision, smaller ones the other."""
    timestamp: str | None = None
    """Files: the column of each event's instant."""
    entity: str | None = None
    """Files: the column that says whom an event is about; absent: one that is called so."""
    age: str | None = None
    """A feature that says how old the features are."""
    max_age: Positive | None = None
    """How old they may be, in the unit of `age`."""
    schema_hash: str | None = None
    """What `schema_path` must say."""
    schema_path: str | None = None
    """Files: the column that holds the schema's hash; live: its JSONPath in an answer."""
    rtol: Part = 1e-5
    """Relative difference of numbers that does not count; see analysis/parity.py."""
    prediction_rtol: Part = 1e-4
    """Files: the same for predictions. Live it is the target's `response.rtol`."""
    mismatch_share: Annotated[float, Field(gt=0, lt=1)] = 0.01
    wrong_share: Part | None = None
    """Live: share of predictions that may be wrong. Absent: none, where predictions alone are compared; where
    features agree, `mismatch_share`, because a model may turn a last digit into another answer."""
    missing_share: Part = 0.01
    duplicate_share: Part = 0.01
    drift_effect: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Smallest difference of distributions that matters (Kolmogorov–Smirnov, total variation)."""
    alpha_pass: Alpha = 0.05
    max_rows: Annotated[int, Field(ge=1_000)] = 200_000
    """More rows than this are sampled, by id."""
    pool: Annotated[int, Field(ge=1)] = 2_048
    """Live: different requests at most, so that each comes several times."""
    twins: Annotated[int, Field(ge=0)] = 256
    """Live: requests that come with their values in another order, too."""
    singly_rps: Rate = 50.0
    singly_s: Seconds = 10.0
    burst: Annotated[int, Field(ge=2, le=1_000)] = 32
    """Requests that arrive together."""

    @property
    def needs_target(self) -> bool:
        return self.serving is None

    @model_validator(mode="after")
    def _files_come_in_pairs(self) -> Settings:
        if self.serving is not None and self.reference is None:
            raise ValueError("`reference` beside `serving`: the features as training computed them")
        if (self.max_age is None) != (self.age is None):
            raise ValueError("`age` and `max_age` together, or neither")
        if (self.schema_hash is None) != (self.schema_path is None):
            raise ValueError("`schema_hash` and `schema_path` together, or neither")
        return self
