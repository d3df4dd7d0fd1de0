"""Who may call, and how often: off on loopback unless asked for, asked for or waived by name everywhere else.

    exposure.py     refuses to listen beyond loopback without credentials, unless told to
    secret_text.py  secrets come from the environment or from files, and from nowhere else
    api_keys.py     keys by name, compared in constant time
    tokens.py       JSON Web Tokens: one algorithm, an expiry, a signature
    buckets.py      a token bucket for each client, for a bounded number of clients
    guard.py        puts them together: admits a caller, or raises the refusal it gets

A refusal never says what was wrong with a credential. No secret enters a log line, a message, a metric or a page.
"""

from .exposure import check_exposure
from .guard import Caller, Guard, guard_of

__all__ = ["Caller", "Guard", "check_exposure", "guard_of"]
