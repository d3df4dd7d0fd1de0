"""proofload: a reliability lab for machine-learning model serving."""

from __future__ import annotations

__version__ = "0.1.0"
