"""One claim each. A module defines `create() -> Claim`."""
