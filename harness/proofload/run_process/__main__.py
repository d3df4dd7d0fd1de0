"""What that process is: `python -m proofload.run_process run …`.

Its standard input is a pipe that whoever started it holds open. When the pipe closes, however he ended, the run ends as
by Ctrl-C: servers are stopped, and what was recorded is judged and reported.
"""

from __future__ import annotations

import os
import signal
import threading

from proofload.cli import main


def _end_with_its_starter() -> None:
    while os.read(0, 1024):
        pass
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # nobody reads them any more, and a broken pipe must not cost the report
        os.dup2(nowhere, stream)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_its_starter, daemon=True).start()
    main()
