"""The lab against servers that want credentials: it gets its answers, and the run folder keeps no secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proofload.cli.app import invoke

KEY = "the-labs-own-long-random-key"


@pytest.mark.real
def test_a_run_with_a_key_from_the_environment_is_answered_and_keeps_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LABS_KEYS", f"lab:{KEY}")
    monkeypatch.setenv("LABS_KEY", KEY)
    settings = {
        "rate_rps": 50,
        "duration_s": 2,
        "target.model": "scorer",
        "target.start.env.PROOFLOAD_AUTH": "api-key",
        "target.start.env.PROOFLOAD_API_KEYS": "env:LABS_KEYS",
        "target.request.headers.X-Api-Key": "env:LABS_KEY",
    }
    changes = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    out = tmp_path / "run"
    invoke(["run", "load", "--target", "grpc", *changes, "--out", str(out), "--json", "-"])
    (phase,) = json.loads(capsys.readouterr().out)["phases"]
    assert phase["outcomes"]["ok"] > 0
    assert phase["outcomes"]["error"] == 0
    written = [path for path in out.rglob("*") if path.is_file()]
    assert {"run.json", "report.html", "result.json"} <= {path.name for path in written}
    assert [path.name for path in written if KEY.encode() in path.read_bytes()] == []
