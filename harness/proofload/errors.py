"""Every error that proofload raises on purpose.

    ProofloadError                  what happened, the evidence, the likely cause, the next step
    ├── InputError                  exit 2: the user's files, flags or payloads are wrong
    ├── TargetError                 exit 2: the target cannot be started, reached or kept alive
    ├── DriverError                 exit 2: what moves a rollout's traffic failed: a hook, a router
    ├── Unavailable                 exit 2: an optional part is missing on this machine
    ├── MeasurementError            exit 3: the lab itself could not measure
    └── RunFolderError              exit 2: a run folder is missing, occupied or unreadable

Foreign exceptions are translated once, where they enter, and chained (`raise … from exc`).
"""

from __future__ import annotations

EXIT_PASS = 0
EXIT_FAIL = 1
EXIT_BAD_INPUT = 2
EXIT_NO_VERDICT = 3
EXIT_INTERRUPTED = 130


class ProofloadError(Exception):
    """One message a person can act on.

    `what` happened, in one sentence; `evidence` that shows it (a log's end, the offending line);
    the likely `cause`; the `remedy`, what to do or type next. Only `what` is required.
    """

    exit_code = EXIT_BAD_INPUT

    def __init__(self, what: str, *, evidence: str = "", cause: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.evidence = evidence
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        parts = [self.what]
        if self.evidence:
            parts.append("evidence: " + self.evidence.rstrip().replace("\n", "\n  "))
        if self.cause:
            parts.append("likely cause: " + self.cause)
        if self.remedy:
            parts.append("next: " + self.remedy)
        return "\n".join(parts)


class InputError(ProofloadError):
    """A file, flag, key or payload from the user is wrong."""


class TargetError(ProofloadError):
    """The target cannot be started, reached or kept alive."""


class DriverError(ProofloadError):
    """What moves a rollout's traffic failed. Nothing is said about the target: no TargetError, and so no finding."""


class Unavailable(ProofloadError):  # noqa: N818  a state of this machine more than an error
    """An optional part (a library, a provider, a tool) is missing on this machine."""


class MeasurementError(ProofloadError):
    """The lab itself could not measure; nothing is said about the target."""

    exit_code = EXIT_NO_VERDICT


class RunFolderError(ProofloadError):
    """A run folder is missing, already holds something, or cannot be read."""
