"""`python -m proofload` is `proofload`."""

from __future__ import annotations

from proofload.cli import main

if __name__ == "__main__":
    main()
