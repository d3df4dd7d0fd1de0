"""nginx's configuration as a router of two versions, as text.

- Users are hashed by `split_clients`; a request without a user is a user of its own.
- A header may force a request to the canary.
- Every answer says who gave it, refusals and nginx's own 502 included.
- A request is handed on once: no retry hides a failure. Idle connections to a server are left after a second, before
  the server itself leaves them (gunicorn does after two): nginx may not send a POST twice, so that would be an error.
"""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from proofload.drivers._nginx_shares import BUCKETS
from proofload.errors import InputError

ARM_HEADER = "X-Proofload-Arm"
CONTROL_PATH = "/.proofload/arm"
"""Answers "<bucket> <arm>": where a request with the same headers would go."""
_SAFE = re.compile(r"^[!#%&'()*+,\-./0-9:=?@A-Z_a-z~]*$")
_HEADER = re.compile(r"^[A-Za-z][A-Za-z0-9-]*$")


@dataclass(frozen=True, slots=True)
class Plan:
    """All that the configuration depends on."""

    folder: Path
    port: int
    baseline_url: str
    canary_url: str
    user_header: str
    force_header: str
    force_value: str
    salt: str


def configuration(plan: Plan) -> str:
    """Raises InputError for a URL or header that cannot stand in it."""
    baseline, canary = _parts(plan.baseline_url), _parts(plan.canary_url)
    hashed = hashlib.sha256(plan.salt.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    each = 100.0 / BUCKETS
    buckets = "\n".join(f"    {each:.1f}% {bucket};" for bucket in range(BUCKETS - 1))
    return f"""\
daemon off;
worker_processes 1;
{_user()}
pid {plan.folder}/nginx.pid;
error_log {plan.folder}/error.log warn;
worker_shutdown_timeout 10s;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  server_tokens off;
  client_max_body_size 0;
  client_body_buffer_size 1m;
  client_body_temp_path {plan.folder}/body;
  proxy_temp_path {plan.folder}/proxy;
  fastcgi_temp_path {plan.folder}/fastcgi;
  uwsgi_temp_path {plan.folder}/uwsgi;
  scgi_temp_path {plan.folder}/scgi;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  upstream baseline {{ {_server(baseline)} keepalive 512; keepalive_requests 1000000000; keepalive_timeout 1s; }}
  upstream canary {{ {_server(canary)} keepalive 512; keepalive_requests 1000000000; keepalive_timeout 1s; }}
  map {_variable(plan.user_header)} $who {{ "" $request_id; default {_variable(plan.user_header)}; }}
  split_clients "{hashed}$who" $bucket {{
{buckets}
    * {BUCKETS - 1};
  }}
  map {_variable(plan.force_header)} $forced {{ default 0; "{_plain(plan.force_value)}" 1; }}
  map $arm $arm_scheme {{ default {baseline.scheme}; canary {canary.scheme}; }}
  map $arm $arm_host {{ default "{_plain(_host(baseline))}"; canary "{_plain(_host(canary))}"; }}
  map "$arm $request_uri" $arm_uri {{
    default $request_uri;
    "canary {_plain(_path(baseline))}" "{_plain(_path(canary))}";
  }}
  server {{
    listen 127.0.0.1:{plan.port} backlog=4096;
    set $arm baseline;
    if (-f {plan.folder}/shares/$bucket) {{ set $arm canary; }}
    if ($forced) {{ set $arm canary; }}
    add_header {ARM_HEADER} $arm always;
    location = {CONTROL_PATH} {{ default_type text/plain; return 200 "$bucket $arm"; }}
    location / {{
      proxy_pass $arm_scheme://$arm$arm_uri;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $arm_host;
      proxy_hide_header {ARM_HEADER};
      proxy_next_upstream off;
      proxy_ssl_server_name on;
      proxy_connect_timeout 60s;
      proxy_read_timeout 3600s;
      proxy_send_timeout 3600s;
      proxy_buffers 16 64k;
      proxy_buffer_size 64k;
      proxy_max_temp_file_size 0;
    }}
  }}
}}
"""


def _parts(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme.lower() not in {"http", "https"} or not parts.hostname:
        raise InputError(
            f"nginx cannot route to {url!r}: it is not HTTP",
            cause="this driver routes HTTP/1.1 requests",
            remedy='use [driver] name = "client", which moves any transport',
        )
    if "@" in parts.netloc:
        raise InputError(
            "nginx cannot route to a URL with a password in it", remedy="send credentials as [request] headers"
        )
    _plain(parts.netloc + parts.path + parts.query)
    return parts


def _server(parts: SplitResult) -> str:
    port = parts.port or (443 if parts.scheme.lower() == "https" else 80)
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    return f"server {host}:{port} max_fails=0;"


def _host(parts: SplitResult) -> str:
    return parts.netloc


def _path(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _variable(header: str) -> str:
    if not _HEADER.match(header):
        raise InputError(f"{header!r} is not a header nginx can read", remedy="use letters, digits and hyphens")
    return f"$http_{header.lower().replace('-', '_')}"


def _plain(text: str) -> str:
    """Text as it may stand between quotation marks in nginx's configuration."""
    if not _SAFE.match(text):
        raise InputError(f"{text!r} cannot stand in nginx's configuration", remedy="encode it as %XX")
    return text


def _user() -> str:
    """Workers of a master that runs as root would give themselves away to a user who may not read our folder."""
    if os.geteuid() != 0:
        return ""
    return f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(os.getegid()).gr_name};"
