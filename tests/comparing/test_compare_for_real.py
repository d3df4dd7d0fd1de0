"""One comparison of real servers, whose service times are 60 and 180 ms: long, beside what a busy host adds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from proofload.cli.app import invoke

SERVER = Path(__file__).parent / "stubs" / "timed_server.py"


@pytest.mark.real
@pytest.mark.quiet
def test_a_slower_server_is_worse_and_its_lifetimes_are_run_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "payloads.jsonl").write_text('{"body": {"value": 3}, "expect": 6}\n')
    words = ["compare", "--pairs", "3", "--out", str(tmp_path / "out"), "--json", "-"]
    for name, ms in (("quick", 60), ("slow", 180)):
        path = tmp_path / f"{name}.target.toml"
        path.write_text(
            f'name = "{name}"\ntransport = "http"\nurl = "http://127.0.0.1:{{port}}/predict"\n'
            'payloads = "payloads.jsonl"\n[start]\n'
            f'command = ["{{python}}", "{SERVER}", "{{port}}", "--ms", "{ms}"]\n'
        )
        words += ["--target", str(path)]
    for setting in ("rate_rps=40", "compare.lifetime_s=0.5", "compare.warmup_s=0.1", "compare.again=10"):
        words += ["--set", setting]
    assert invoke(words) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["standing"] == "worse"
    service = found["comparisons"][0]["metrics"][0]
    assert service["standing"] == "worse"
    assert service["interval"][0] > 1.05
    assert all(one["candidate"] > one["baseline"] > 50 for one in service["pairs"])
    assert len(list((tmp_path / "out" / "lifetimes").glob("*/run.json"))) == found["lifetimes"]["attempts"]
    assert found["targets"][0]["price"]["priced"]
    sent = {
        json.loads(run.read_text())["payloads"]["bodies_sha256"] for run in tmp_path.glob("out/lifetimes/*/run.json")
    }
    assert sent == {hashlib.sha256(b'{"value":3}\n').hexdigest()}
    assert found["lifetimes"]["unusable"] == []
