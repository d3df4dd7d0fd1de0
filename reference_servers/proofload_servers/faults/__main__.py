"""Lists all faults: `python -m proofload_servers.faults`."""

import sys

from . import listing

sys.stdout.write(listing())
