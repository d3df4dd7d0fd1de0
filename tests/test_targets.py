"""Target files: what they may say, how mistakes are told, what becomes of placeholders and secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from proofload.errors import InputError
from proofload.placeholders import looked_up
from proofload.resources import Layout
from proofload.targets import Target, known_targets, load_target

CONTRACT = """
name = "scorer"
transport = "http"
url = "http://127.0.0.1:{port}/v9/score"
payloads = "payloads.jsonl"
[request]
headers = { X-Api-Key = "env:SCORER_KEY" }
[response]
prediction = "$.score"
version = "$.meta.version"
expected_version = "v2"
[health]
ready = "/healthz"
live = "/live"
[probe]
metrics = "http://127.0.0.1:{port:metrics}/metrics"
pid = 4711
[start]
command = ["python3", "server.py", "--port", "{port}"]
env = { MODEL = "v2" }
ready_timeout_s = 30
[container]
image = "scorer:2"
[limits]
cpus = 1
memory_mib = 512
"""


def write(folder: Path, text: str = CONTRACT, name: str = "scorer.target.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def minimal(**values: object) -> Target:
    return Target.model_validate({"name": "t", "transport": "http", "url": "http://h/p", **values})


def test_every_key_of_the_contract_is_read(tmp_path: Path) -> None:
    target = load_target(str(write(tmp_path)))
    assert target.name == "scorer"
    assert target.response.expected_version == "v2"
    assert target.response.rtol == 1e-4
    assert target.probe.pid == 4711
    assert target.start is not None
    assert target.start.command == ("python3", "server.py", "--port", "{port}")
    assert target.container is not None
    assert target.container.image == "scorer:2"
    assert (target.limits.cpus, target.limits.memory_mib) == (1.0, 512)
    assert not target.is_external


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    text = (
        'transport = "grpc"\nurl = "grpc://h:1"\npayloads = "p.jsonl"\n[request]\nproto = "m.proto"\nmethod = "a.B/C"'
    )
    target = load_target(str(write(tmp_path / "deep", text)))
    assert target.payloads_path == tmp_path / "deep" / "p.jsonl"
    assert target.request_table["proto"] == str(tmp_path / "deep" / "m.proto")
    assert target.request_table["method"] == "a.B/C"


def test_reflection_is_not_taken_for_a_file(tmp_path: Path) -> None:
    assert minimal(request={"proto": "reflection"}).request_table["proto"] == "reflection"


def test_the_name_comes_from_the_file_when_it_gives_none(tmp_path: Path) -> None:
    text = 'transport = "http"\nurl = "http://h/"'
    assert load_target(str(write(tmp_path, text, "mine.target.toml"))).name == "mine"
    assert load_target(str(write(tmp_path / "theirs", text, "target.toml"))).name == "theirs"


@pytest.mark.parametrize(
    ("line", "key", "near"),
    [
        ('urll = "x"', "urll", "url"),
        ("[limits]\ncpu = 1", "limits.cpu", "limits.cpus"),
        ("[response]\nexpected_verison = 'v2'", "response.expected_verison", "response.expected_version"),
        ("[start]\ncommand = ['x']\nready_timeout = 3", "start.ready_timeout", "start.ready_timeout_s"),
        ("headers = {}", "headers", "request.headers"),
        ("memory_mib = 5", "memory_mib", "limits.memory_mib"),
        ("[probes]\nmetrics = '/m'", "probes", "probe"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(tmp_path: Path, line: str, key: str, near: str) -> None:
    path = write(tmp_path, f'transport = "http"\nurl = "http://h/"\n{line}\n')
    with pytest.raises(InputError) as caught:
        load_target(str(path))
    assert f"unknown key `{key}`" in str(caught.value)
    assert f"did you mean `{near}`?" in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("[limits]\ncpus = 'two'", "`limits.cpus`: seen 'two' (text), expected a number"),
        ("[limits]\nmemory_mib = 1.5", "`limits.memory_mib`: seen 1.5 (a number), expected a whole number"),
        ("[limits]\ncpus = 0", "`limits.cpus`: seen 0 (a whole number), expected a number above 0"),
        ("[limits]\ncpus = nan", "expected a finite number"),
        ("[start]\ncommand = 'run me'", "`start.command`: seen 'run me' (text), expected a list"),
        ("[start]\ncommand = []", "`start.command`: seen [] (a list), expected something: it may not be empty"),
        ("[start]\ncommand = ['a', 3]", "`start.command.1`: seen 3 (a whole number), expected text in quotes"),
        ("[start]\nenv = {A = 'b'}", "`start.command`: seen nothing, expected a value: this key is required"),
        ("container = true", "`container`: seen true (true or false), expected a table"),
        ("[probe]\npid = true", "`probe.pid`: seen true (true or false), expected a whole number"),
        ("[request]\nheaders = {A = 3}", "`request.headers.A`: seen 3 (a whole number), expected text in quotes"),
    ],
)
def test_a_wrong_value_says_key_seen_and_expected(tmp_path: Path, line: str, says: str) -> None:
    path = write(tmp_path, f'transport = "http"\nurl = "http://h/"\n{line}\n')
    with pytest.raises(InputError) as caught:
        load_target(str(path))
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_all_wrong_keys_are_told_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, 'transport = 1\nurl = "http://h/"\nmodle = "fraud"\n[limits]\ncpus = "x"\n')
    with pytest.raises(InputError) as caught:
        load_target(str(path))
    assert "3 keys are wrong" in caught.value.what
    assert all(key in caught.value.evidence for key in ("`transport`", "`modle`", "`limits.cpus`"))


def test_a_url_without_a_scheme_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a URL with a scheme"):
        load_target(str(write(tmp_path, 'transport = "http"\nurl = "localhost:80/p"')))


def test_broken_toml_shows_the_line(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_target(str(write(tmp_path, 'transport = "http"\nurl = "http://h/\npayloads = "p"\n')))
    assert caught.value.evidence == 'line 2: url = "http://h/'


def test_binary_files_and_folders_are_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "model.toml"
    path.write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        load_target(str(path))
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(InputError, match="there is no file"):
        load_target(str(tmp_path / "folder.toml"))


def test_secrets_are_looked_up_when_used_and_never_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = load_target(str(write(tmp_path)))
    monkeypatch.delenv("SCORER_KEY", raising=False)
    (header, secret), *_ = target.request.headers.items()
    with pytest.raises(InputError, match="SCORER_KEY is not set"):
        looked_up(secret, owner="the target", key=header)
    monkeypatch.setenv("SCORER_KEY", "s3cret")
    assert looked_up(secret, owner="the target", key=header) == "s3cret"
    filled = target.filled({"port": "1"})
    assert filled.redacted()["request"]["headers"] == {"X-Api-Key": "env:SCORER_KEY"}
    assert "s3cret" not in str(filled.redacted()) + repr(filled)


def test_secrets_written_into_the_file_are_hidden_in_the_record() -> None:
    target = minimal(
        url="https://me:pw1@h/p?api_key=pw2&x=1",
        request={"headers": {"Authorization": "Bearer pw3", "Accept": "application/json"}},
        start={"command": ("x",), "env": {"DB_PASSWORD": "pw4", "MODEL": "v2"}},
    )
    record = target.redacted()
    assert not any(secret in str(record) for secret in ("pw1", "pw2", "pw3", "pw4"))
    assert record["request"]["headers"]["Accept"] == "application/json"
    assert record["start"]["env"]["MODEL"] == "v2"
    assert record["url"] == "https://me:(hidden)@h/p?api_key=(hidden)&x=1"


def test_no_url_of_the_record_holds_credentials() -> None:
    target = minimal(
        url="http://pw1@h/p",
        health={"ready": "http://me:pw2@h/ready", "live": "/live"},
        probe={"metrics": "http://h/metrics?token=pw3"},
    )
    record = target.redacted()
    assert "pw" not in str(record)
    assert record["url"] == "http://(hidden)@h/p"
    assert record["health"] == {"ready": "http://me:(hidden)@h/ready", "live": "/live"}


def test_placeholders_are_filled_everywhere_and_others_stay(tmp_path: Path) -> None:
    target = load_target(str(write(tmp_path))).filled({"port": "8123"})
    assert target.url == "http://127.0.0.1:8123/v9/score"
    assert target.start is not None
    assert target.start.command[-1] == "8123"
    assert target.probe.metrics == "http://127.0.0.1:{port:metrics}/metrics"
    assert target.source == tmp_path / "scorer.target.toml"
    assert target.placeholders() == ["port:metrics"]


def test_it_names_the_ports_it_needs(tmp_path: Path) -> None:
    assert sorted(load_target(str(write(tmp_path))).ports()) == ["", "metrics"]
    assert minimal().ports() == []


def test_model_python_and_an_own_broker_need_not_be_given() -> None:
    target = minimal(
        model="fraud",
        broker="b:9092",
        payloads="{fixtures}/{model}/p",
        start={"command": ("{python}", "--broker", "{broker}")},
    )
    filled = target.filled({"fixtures": "/built"})
    assert filled.payloads == "/built/fraud/p"
    assert filled.start is not None
    assert filled.start.command[0].startswith("/")
    assert filled.start.command[2] == "b:9092"
    assert filled.placeholders() == []


def test_braces_of_shells_and_json_are_left_alone() -> None:
    words = ("sh", "-c", 'echo ${port} {"port": 1} {print}')
    assert minimal(start={"command": words}).filled({"port": "9"}).start.command == words  # type: ignore[union-attr]


def test_a_misspelt_placeholder_is_caught(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown placeholder \{prot\} \(did you mean \{port\}\?\)"):
        load_target(str(write(tmp_path, 'transport = "http"\nurl = "http://h:{prot}/"')))


def test_health_paths_are_asked_of_the_targets_own_address() -> None:
    target = minimal(url="https://h:8/v1/predict?x=1", health={"ready": "/ok", "live": "http://o/l"})
    assert (target.ready_url, target.live_url, target.metrics_url) == ("https://h:8/ok", "http://o/l", None)


def test_a_health_path_of_a_target_that_speaks_no_http_is_explained() -> None:
    with pytest.raises(InputError, match=r"`health\.ready` = '/ok' is a path"):
        _ = minimal(url="grpc://h:8", health={"ready": "/ok"}).ready_url


@pytest.mark.parametrize(
    ("url", "transport"),
    [
        ("http://127.0.0.1:9000/predict", "http"),
        ("https://models.example/predict", "http"),
        ("grpc://h:50051", "grpc"),
        ("grpcs://h:50051", "grpc"),
        ("kafka://h:9092", "kafka"),
    ],
)
def test_a_bare_url_finds_its_transport(url: str, transport: str, tmp_path: Path) -> None:
    target = load_target(url, payloads="r.jsonl")
    assert (target.transport, target.url, target.is_external) == (transport, url, True)
    assert target.name == url.partition("://")[2].partition("/")[0]
    assert target.payloads_path == Path.cwd() / "r.jsonl"


def test_an_unknown_scheme_names_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        load_target("htttp://h/p")
    assert "did you mean http://?" in str(caught.value)


def test_an_unknown_transport_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no transport named 'htp'") as caught:
        load_target(str(write(tmp_path, 'transport = "htp"\nurl = "http://h/"')))
    assert "did you mean 'http'?" in str(caught.value)


def test_overrides_reach_every_table_and_unknown_ones_are_told(tmp_path: Path) -> None:
    path = str(write(tmp_path))
    changed = load_target(path, overrides={"response.rtol": 1e-3, 'request.headers."X-Api-Key"': "k", "model": "m"})
    assert changed.response.rtol == 1e-3
    assert changed.request.headers == {"X-Api-Key": "k"}
    assert changed.model == "m"
    with pytest.raises(InputError) as caught:
        load_target(path, overrides={"response.rtoll": 1})
    assert caught.value.what == (
        "--set: unknown key `target.response.rtoll` (nearest known one: `target.response.rtol`)"
    )


def test_the_working_directory_comes_before_the_checkout_and_that_before_the_package(tmp_path: Path) -> None:
    places = {
        "working": tmp_path / "w" / "targets" / "one.target.toml",
        "checkout": tmp_path / "c" / "reference_servers" / "proofload_servers" / "one_app" / "target.toml",
        "package": tmp_path / "site" / "proofload_servers" / "one_app" / "target.toml",
    }
    for place, path in places.items():
        write(path.parent, f'name = "one"\ntransport = "http"\nurl = "http://{place}/"', path.name)
    layout = Layout(tmp_path / "w", tmp_path / "c", tmp_path / "site" / "proofload")
    for place in ("working", "checkout", "package"):
        assert load_target("one", layout=layout).url == f"http://{place}/"
        places[place].unlink()
    with pytest.raises(InputError, match="no target named 'one'"):
        load_target("one", layout=layout)


def test_an_unknown_name_names_the_nearest_and_a_missing_scheme_is_guessed() -> None:
    with pytest.raises(InputError) as caught:
        load_target("fastpi")
    assert "did you mean 'fastapi'?" in str(caught.value)
    with pytest.raises(InputError) as caught:
        load_target("localhost:8000")
    assert "a URL needs a scheme and two slashes: http://localhost:8000/…" in str(caught.value)


def test_a_broken_file_is_listed_with_what_is_wrong_and_hides_no_other(tmp_path: Path) -> None:
    write(tmp_path, "name = 3", "bad.target.toml")
    write(tmp_path, '# A good one.\ntransport = "http"\nurl = "http://h/"', "good.target.toml")
    listed = {one.name: one for one in known_targets(Layout(tmp_path, None, tmp_path / "site" / "proofload"))}
    assert listed["bad"].problem
    assert (listed["good"].problem, listed["good"].description) == ("", "A good one")


def test_every_reference_target_loads() -> None:
    names = {one.name for one in known_targets() if not one.problem}
    assert {"flask", "fastapi", "grpc", "kafka"} <= names
    for name in ("flask", "fastapi", "grpc", "kafka"):
        target = load_target(name)
        assert target.model == "fraud"
        assert not target.is_external


def test_the_programs_own_fields_are_no_keys(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown key `source`"):
        load_target(str(write(tmp_path, 'transport = "http"\nurl = "http://h/"\nsource = "x"')))


def test_what_names_the_version_must_be_there(tmp_path: Path) -> None:
    text = CONTRACT.replace('name = "scorer"', 'name = "scorer"\nversion_in = ["MODEL", "--port"]')
    assert load_target(str(write(tmp_path, text))).version_in == ("MODEL", "--port")
    with pytest.raises(InputError, match=r"variables or flags of \[start\] or \[container\] .*MODEL, --port.*'MODLE'"):
        load_target(str(write(tmp_path, text.replace('["MODEL"', '["MODLE"'))))
    with pytest.raises(InputError, match="none"):
        load_target(str(write(tmp_path, text.partition("[start]")[0])))
