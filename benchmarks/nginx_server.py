"""nginx as the fastest of servers: one process on one core of this machine, answering predictions.

Each answer is JSON with a request id that is new each time, so that no two answers are the same bytes,
and the prediction that PAYLOAD expects. It listens on 127.0.0.1 alone and ends with the block.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cores import SERVER_CORE, pinned

PREDICTION = 0.731
BODY = {"id": "benchmark", "values": [index / 16 for index in range(16)]}
PAYLOAD = {"body": BODY, "expect": PREDICTION}
PAYLOADS = 256
MISSING = "nginx is missing: apt-get install nginx-light"

_CONFIGURATION = """
daemon off; master_process off; worker_processes 1;
pid {place}/pid; error_log {place}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off; default_type application/json;
  keepalive_timeout 600; keepalive_requests 1000000000;
  client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;
  uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      return 200 '{{"id":"$request_id","prediction":{prediction},"model":{{"name":"nginx","version":"1"}}}}';
    }}
  }}
}}
"""


def available() -> bool:
    return _program() is not None


@contextmanager
def serving() -> Iterator[str]:
    """The URL of a running one."""
    program = _program()
    if program is None:
        raise SystemExit(MISSING)
    with tempfile.TemporaryDirectory(prefix="proofload-nginx-") as folder:
        place, port = Path(folder), _free_port()
        configuration = place / "nginx.conf"
        configuration.write_text(_CONFIGURATION.format(place=place, port=port, prediction=PREDICTION))
        command = [program, "-p", str(place), "-e", str(place / "error.log"), "-c", str(configuration)]
        process = subprocess.Popen(pinned(SERVER_CORE, command))
        try:
            _wait(process, port, place / "error.log")
            yield f"http://127.0.0.1:{port}/v1/predict"
        finally:
            process.terminate()
            process.wait(10)


def write_payloads(path: Path) -> Path:
    """PAYLOADS times the one payload that nginx knows the answer to."""
    path.write_text((json.dumps(PAYLOAD) + "\n") * PAYLOADS)
    return path


def _program() -> str | None:
    return shutil.which("nginx") or shutil.which("/usr/sbin/nginx")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise SystemExit(f"nginx did not start:\n{log.read_text()[-1500:]}")
