"""Which runs are alike: what means nothing changes no fingerprint, what means something does."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from proofload.nightly.likeness import differences, likeness
from proofload.testing.synthetic_run import run_json


def a_run(**changes: Any) -> dict[str, Any]:
    """run.json of a started server, with dotted members changed."""
    run = run_json(100.0, 10.0, 1)
    run["environment"] = {
        "proofload": "0.1.0", "python": "3.11.7", "system": "Linux 6.1", "cpu": "some CPU", "cores": 8,
        "usable_cores": [0, 1], "memory_gib": 15.6, "accelerators": {}, "load_average_before": [0.1, 0.2, 0.3],
    }  # fmt: skip
    run["target"] = {
        "name": "own", "transport": "http", "url": "http://127.0.0.1:23223/v1/predict", "source": "/a/own.target.toml",
        "health": {"ready": "http://127.0.0.1:23223/ready"}, "probe": {"metrics": "http://127.0.0.1:23224/metrics"},
        "response": {"prediction": "$.prediction", "expected_version": "v1"},
        "start": {"command": ["/venv/bin/python3", "server.py", "--port", "23223", "--control-port", "23225"],
                  "env": {"GROUP": "own-23223", "WORKERS": "2"}},
    }  # fmt: skip
    run["host"] = {"host_id": "boot", "wall_offset_ns": 5}
    for path, value in changes.items():
        *tables, last = path.split("__")
        inner = run
        for table in tables:
            inner = inner[table]
        inner[last] = value
    return run


def ports_moved() -> dict[str, Any]:
    run = copy.deepcopy(a_run())
    run["target"]["url"] = "http://127.0.0.1:11111/v1/predict"
    run["target"]["health"] = {"ready": "http://127.0.0.1:11111/ready"}
    run["target"]["probe"] = {"metrics": "http://127.0.0.1:31313/metrics"}
    run["target"]["start"]["command"] = [
        "/other/bin/python3",
        "server.py",
        "--port",
        "11111",
        "--control-port",
        "12345",
    ]
    run["target"]["start"]["env"] = {"GROUP": "own-11111", "WORKERS": "2"}
    return run


MEANS_NOTHING = [
    ports_moved(),
    a_run(target__probe={"metrics": "http://127.0.0.1:23224/metrics", "pid": 4711}),
    a_run(target__source="/b/own.target.toml"),
    a_run(target__response={"prediction": "$.prediction", "expected_version": "v2"}),
    a_run(host={"host_id": "another boot", "wall_offset_ns": 9}),
    a_run(environment__load_average_before=[3.0, 2.0, 1.0]),
    a_run(environment__usable_cores=[2, 3]),
    a_run(scenario__seed=77),
    a_run(scenario__description="in other words"),
    a_run(started_at="2030-01-01T00:00:00+00:00", command="proofload run load --out elsewhere"),
]
ANOTHER_HOST = [
    a_run(environment__cpu="another CPU"),
    a_run(environment__usable_cores=[0]),
    a_run(environment__memory_gib=31.2),
    a_run(environment__system="Linux 6.2"),
    a_run(environment__accelerators={"0": "H100"}),
]
ANOTHER_CONFIGURATION = [
    a_run(scenario__rate_rps=101.0),
    a_run(scenario__slo={"p99_ms": 40.0, "ok_share": 0.999}),
    a_run(quick=True),
    a_run(environment__proofload="0.2.0"),
    a_run(target__url="http://127.0.0.1:23223/v2/predict"),
    a_run(target__start={"command": ["python3", "server.py", "--port", "23223", "--workers", "4"], "env": {}}),
    a_run(target__limits={"cpus": 2}),
    a_run(placement__target_cores=[1, 2]),
    a_run(payloads__count=4096),
]


def of_version(version: str, **changes: Any) -> dict[str, Any]:
    """A run of that version: image, variable and flags say so."""
    number = version.removeprefix("v")
    run = a_run(
        target__version_in=["MODEL", "--model-version", "--weights"],
        target__response={"prediction": "$.prediction", "expected_version": version},
        target__start={
            "command": [
                "server.py",
                "--port",
                "23223",
                "--model-version",
                version,
                f"--weights=/models/{version}.onnx",
            ],
            "env": {"MODEL": version, "WORKERS": "2"},
        },
        target__container={"image": f"localhost:5000/team/scorer:{number}", "env": {"MODEL": version}},
    )
    for path, value in changes.items():
        *tables, last = path.split("__")
        inner = run["target"]
        for table in tables:
            inner = inner[table]
        inner[last] = value
    return run


ANOTHER_VERSION = [
    of_version("v3"),
    of_version("v2024"),
    of_version("v2", container__image="localhost:5000/team/scorer@sha256:" + "ab" * 32),
    of_version("v2", container__image="localhost:5000/team/scorer:3@sha256:" + "ab" * 32),
    of_version("v2", container__image="localhost:5000/team/scorer"),
]
SAME_VERSION_CONFIGURED_OTHERWISE = [
    of_version("v2", container__image="localhost:5000/team/other:2"),
    of_version("v2", container__image="elsewhere:5000/team/scorer:2"),
    of_version("v2", start__env={"MODEL": "v2", "WORKERS": "4"}),
    of_version("v2", start__command=["server.py", "--port", "23223", "--model-version", "v2", "--threads", "4"]),
]


@pytest.mark.parametrize("other", ANOTHER_VERSION)
def test_another_version_goes_on_with_the_course(other: dict[str, Any]) -> None:
    one, two = likeness(of_version("v2")), likeness(other)
    assert differences(one.configuration_facts, two.configuration_facts) == []
    assert one.configuration == two.configuration


@pytest.mark.parametrize("other", SAME_VERSION_CONFIGURED_OTHERWISE)
def test_what_is_configured_beside_the_version_begins_another(other: dict[str, Any]) -> None:
    assert likeness(of_version("v2")).configuration != likeness(other).configuration


def test_an_images_tag_is_no_port() -> None:
    """A tag of digits behind a colon looks like one, and would hide the same number elsewhere."""
    one = of_version("v2", container__image="scorer:2024", container__command=["--batch", "2024"])
    two = of_version("v2", container__image="scorer:2025", container__command=["--batch", "2025"])
    assert likeness(one).configuration != likeness(two).configuration


@pytest.mark.parametrize("other", MEANS_NOTHING)
def test_what_differs_without_meaning_changes_nothing(other: dict[str, Any]) -> None:
    one, two = likeness(a_run()), likeness(other)
    assert differences(one.configuration_facts, two.configuration_facts) == []
    assert (one.host, one.configuration) == (two.host, two.configuration)


@pytest.mark.parametrize("other", ANOTHER_HOST)
def test_another_host_is_told_and_named(other: dict[str, Any]) -> None:
    one, two = likeness(a_run()), likeness(other)
    assert one.host != two.host
    assert one.configuration == two.configuration
    assert len(differences(one.host_facts, two.host_facts)) == 1


@pytest.mark.parametrize("other", ANOTHER_CONFIGURATION)
def test_another_configuration_is_told_and_named(other: dict[str, Any]) -> None:
    one, two = likeness(a_run()), likeness(other)
    assert one.configuration != two.configuration
    assert one.host == two.host
    assert differences(one.configuration_facts, two.configuration_facts)


def test_a_difference_says_what_was_and_what_is() -> None:
    one, two = likeness(a_run()), likeness(a_run(scenario__rate_rps=101.0))
    assert differences(one.configuration_facts, two.configuration_facts) == ["scenario.rate_rps: 100.0 → 101.0"]
