"""An HTTP server that meets a bad end, or leaves a child behind. Standard library only.

    python mortal_server.py PORT END [AFTER]

Prints its port (0: a free one). POST {"value": v} gives {"prediction": 2 v}. Once AFTER answers are written, the next
request makes it do what END says: "never", "stubborn" (ignores SIGTERM), "exit", "crash", "kill" (itself with SIGKILL),
"mute" (lives on and answers no more). The first two have a child in a session of its own, so that only somebody
thorough gets rid of both.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def main(port: int, end: str, after: int) -> None:
    """Serve until the end."""
    asked, answered = itertools.count(1), itertools.count(1)
    last_answer = threading.Event()
    if end == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if end in {"never", "stubborn"}:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if next(asked) > after:
                last_answer.wait()  # of those before, some may still be on their way
                die(end)
            answer = json.dumps({"prediction": 2 * body["value"]}).encode()
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))
            if next(answered) == after:
                last_answer.set()

        def log_message(self, *_: object) -> None:
            """Silent: its last words are what a test looks for."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128  # a connection that finds no place tries again a second later

    server = Server(("127.0.0.1", port), Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


def die(end: str) -> None:
    """As told; "mute" never returns."""
    if end == "mute":
        threading.Event().wait()
    sys.stderr.write("its last words: the disk is on fire\n")
    sys.stderr.flush()
    if end == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(0 if end == "exit" else 7)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1 << 60)
