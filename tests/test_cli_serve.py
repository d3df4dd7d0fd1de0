"""`proofload serve` and `proofload report`."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.request import urlopen

import pytest

from proofload.cli.app import invoke
from proofload.cli.serve import invitation
from proofload.targets import Target

SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"here")
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200); self.end_headers(); self.wfile.write(body)
    def log_message(self, *words): pass
print("a line of its log", file=sys.stderr, flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def target_file(folder: Path) -> Path:
    (folder / "server.py").write_text(SERVER, encoding="utf-8")
    (folder / "p.jsonl").write_text('{"body": {"it\'s": 1}}\n', encoding="utf-8")
    path = folder / "mine.target.toml"
    path.write_text(
        'transport = "http"\nurl = "http://127.0.0.1:{port}/p"\npayloads = "p.jsonl"\n'
        '[health]\nready = "/ready"\n[start]\ncommand = ["{python}", "server.py", "{port}"]\n',
        encoding="utf-8",
    )
    return path


def said_of(folder: Path, body: object = 1, facts: Mapping[str, Any] | None = None, **keys: Any) -> list[str]:
    (folder / "p.jsonl").write_text(json.dumps({"body": body}) + "\n", encoding="utf-8")
    tables = {"name": "t", "transport": "x", "payloads": str(folder / "p.jsonl"), **keys}
    server: Any = SimpleNamespace(target=Target.model_validate(tables), facts=lambda: facts or {})
    return invitation(server)


def test_the_invitation_to_http_is_a_curl_that_a_shell_understands(tmp_path: Path) -> None:
    lines = said_of(tmp_path, {"it's": 1}, url="http://h:1/p", request={"headers": {"X-Key": "env:K"}})
    (example,) = [line.removeprefix("try: ") for line in lines if line.startswith("try: ")]
    assert shlex.split(example) == [
        "curl", "-sS", "http://h:1/p", "-H", "Content-Type: application/json", "-H", "X-Key: $K", "-d", '{"it\'s":1}',
    ]  # fmt: skip
    assert '"X-Key: $K"' in example, "for the shell to fill in"


def test_a_body_too_long_for_a_screen_comes_from_its_file(tmp_path: Path) -> None:
    lines = said_of(tmp_path, "x" * 5000, url="http://h:1/p")
    (example,) = [line for line in lines if line.startswith("try: ")]
    assert len(example) < 400
    assert str(tmp_path / "p.jsonl") in example
    assert example.endswith("-d @-")


def test_the_invitations_to_grpc_and_kafka_use_their_tools(tmp_path: Path) -> None:
    grpc = said_of(tmp_path, url="grpc://h:1", request={"method": "a.B/C"})
    assert "try: grpcurl -plaintext -d 1 h:1 a.B/C" in grpc
    facts = {"broker": {"bootstrap": "h:2", "kind": "librdkafka mock"}}
    kafka = said_of(tmp_path, url="kafka://h:2", request={"topic": "features"}, facts=facts)
    assert "broker: h:2 (librdkafka mock)" in kafka
    assert "try: echo 1 | kcat -P -b h:2 -t features -H correlation-id=1" in kafka


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("serve flaks", "did you mean 'flask'?"),
        ("serve http://h/p", "does not say how it is started"),
        ("serve fixed.target.toml --port 1234", "has no {port} to fill"),
        ("serve flask --set rate_rps=3", "serving has no scenario"),
    ],
)
def test_what_cannot_be_served_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], words: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    text = 'transport = "http"\nurl = "http://h:1/"\n[start]\ncommand = ["x"]\n'
    Path("fixed.target.toml").write_text(text, encoding="utf-8")
    assert invoke(words.split()) == 2
    assert says in capfd.readouterr().err


@pytest.mark.real
def test_a_served_target_answers_its_own_example_and_leaves_nothing_behind(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "proofload", "serve", str(target_file(tmp_path))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip())
            if "Ctrl-C" in line:
                break
        url = re.search(r"http://127\.0\.0\.1:\d+/p", lines[0])
        assert url is not None
        assert lines[0] == f"mine is ready at {url[0]}"
        assert lines[1].startswith(f"try: curl -sS {url[0]} ")
        with urlopen(url[0]) as answer:
            assert answer.read() == b"here"
        while "a line of its log" not in process.stderr.readline():
            assert process.poll() is None
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert err.rstrip().endswith("interrupted")
    with pytest.raises(OSError, match="refused"):
        urlopen(url[0])


@pytest.mark.real
def test_a_served_target_that_dies_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    path = target_file(tmp_path)
    (tmp_path / "server.py").write_text("raise SystemExit('no model here')", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "proofload", "serve", str(path)], capture_output=True, text=True, check=False,
        env={**os.environ},
    )  # fmt: skip
    assert done.returncode == 2
    assert "no model here" in done.stderr
    assert "Traceback" not in done.stderr


def test_report_hands_folders_and_formats_on_and_says_what_was_written(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []

    def render_report(dirs: Sequence[Path], formats: Sequence[str], baseline: Path | None = None) -> list[Path]:
        asked.extend([list(dirs), tuple(formats), baseline])
        return [Path("a/report.html")]

    lab = ModuleType("proofload.lab")
    lab.render_report = render_report  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "proofload.lab", lab)
    assert invoke(["report", "a", "b", "--baseline", "c", "--format", "junit", "--format", "json"]) == 0
    assert asked == [[Path("a"), Path("b")], ("junit", "json"), Path("c")]
    assert capfd.readouterr().out == "a/report.html\n"
    assert invoke(["report", "a"]) == 0
    assert asked[4] == ("html", "md")


def test_report_names_the_nearest_format(capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["report", "a", "--format", "htlm"]) == 2
    assert "did you mean 'html'?" in capfd.readouterr().err


def test_report_of_no_run_folder_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["report", str(tmp_path)]) == 2
    seen = capfd.readouterr().err
    assert seen.startswith("error: ")
    assert str(tmp_path) in seen
    assert "Traceback" not in seen
