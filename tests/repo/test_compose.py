"""docker-compose.yml agrees with all that speaks of it: images, target files, rules, the page that explains it."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from proofload.scenarios import load_scenario
from proofload.targets import known_targets, load_target
from proofload_servers.kafka_worker.options import add_kafka_flags
from proofload_servers.serving import arguments

ROOT = Path(__file__).resolve().parents[2]
PROFILES = {"cpu", "gpu", "observe", "load"}
OURS = ("proofload-servers:cpu", "proofload-servers:gpu", "proofload-locust:")
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def defaults(value: Any) -> Any:
    """With every variable at its default, as compose reads it when none is set."""
    if isinstance(value, str):
        return VARIABLE.sub(lambda match: match[2], value)
    if isinstance(value, list):
        return [defaults(item) for item in value]
    return {key: defaults(item) for key, item in value.items()} if isinstance(value, dict) else value


WRITTEN: dict[str, dict[str, Any]] = read("docker-compose.yml")["services"]
SERVICES: dict[str, dict[str, Any]] = defaults(WRITTEN)
SERVERS = {name: one for name, one in SERVICES.items() if one["image"].startswith("proofload-servers:")}
PINS = dict(
    line.split("==") for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines() if "==" in line
)


def published(service: str) -> dict[int, int]:
    """Port inside -> port on 127.0.0.1."""
    pairs = [port.rsplit(":", 2) for port in SERVICES[service].get("ports", [])]
    return {int(inside): int(outside) for _, outside, inside in pairs}


def test_every_port_is_published_on_loopback_alone_and_on_a_number_of_its_own() -> None:
    ports = [port for one in SERVICES.values() for port in one.get("ports", [])]
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in ports), ports
    outside = [port for name in SERVICES for port in published(name).values()]
    assert len(outside) == len(set(outside))
    assert all("network_mode" not in one and "privileged" not in one for one in SERVICES.values())


def test_every_image_has_a_tag_that_stays_and_ours_and_no_other_can_be_built_from_here() -> None:
    for name, one in SERVICES.items():
        _, _, tag = one["image"].partition(":")
        assert tag, name
        assert tag != "latest", name
        build = one.get("build")
        assert (build is not None) == WRITTEN[name]["image"].startswith(OURS), f"{name}: an image that a variable names"
        if isinstance(build, dict):
            assert (ROOT / build["context"] / build["dockerfile"]).is_file()
        elif build is not None:
            assert (ROOT / build / "Dockerfile").is_file()


def test_images_that_others_speak_of_are_the_same_everywhere() -> None:
    stand_in = (ROOT / ".ci" / "kafka" / "build").read_text(encoding="utf-8")
    (kafka,) = re.findall(r"^version=\$\{1:-(\S+)\}$", stand_in, re.MULTILINE)
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{kafka}"
    assert SERVICES["locust-master"]["image"] == f"proofload-locust:{PINS['locust']}"
    images = (ROOT / "reference_servers" / "build_images.py").read_text(encoding="utf-8")
    for image in {one["image"] for one in SERVERS.values()}:
        assert f'"{image}"' in images


def test_the_image_of_locust_holds_the_checkouts_pins() -> None:
    lines = (ROOT / "observability" / "locust" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    held = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert "locust" in held
    assert {name: PINS.get(name) for name in held} == held


def test_no_secret_stands_in_it_and_none_is_asked_for() -> None:
    for name, one in SERVICES.items():
        for variable, value in one.get("environment", {}).items():
            assert not re.search(r"passw|secret|token|credential|_key", variable, re.IGNORECASE), (name, variable)
            assert "@" not in str(value) or variable == "KAFKA_CONTROLLER_QUORUM_VOTERS", (name, variable)
    assert SERVICES["grafana"]["environment"]["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    settings = (ROOT / ".env").read_text(encoding="utf-8").splitlines()
    assert {line.partition("=")[0] for line in settings if not line.startswith("#")} == {
        "COMPOSE_PROJECT_NAME",
        "COMPOSE_PROFILES",
    }


def test_every_service_has_its_profile_and_what_it_waits_for_comes_with_it_and_says_when_it_is_ready() -> None:
    assert {profile for one in SERVICES.values() for profile in one["profiles"]} == PROFILES
    for name, one in SERVICES.items():
        for other, how in one.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}, (name, other)
            assert set(one["profiles"]) <= set(SERVICES[other]["profiles"]), (name, other)
            assert "healthcheck" in SERVICES[other] or other in SERVERS, (name, other)
    for dockerfile in ("Dockerfile", "Dockerfile.gpu"):
        assert "HEALTHCHECK" in (ROOT / "reference_servers" / dockerfile).read_text(encoding="utf-8")


def test_nobody_gets_more_rights_than_needed_and_everybody_has_a_limit() -> None:
    for name, one in SERVICES.items():
        assert one["cap_drop"] == ["ALL"], name
        assert one["security_opt"] == ["no-new-privileges:true"], name
        assert "mem_limit" in one, name
        assert "cap_add" not in one, name
        assert one["logging"]["options"]["max-size"] == "10m", name
    for name in [*SERVERS, "router", "redis", "prometheus", "locust-master", "locust-worker"]:
        assert SERVICES[name]["read_only"] is True, name
    assert all("cpus" in one for one in SERVERS.values())


def test_what_is_mounted_from_the_checkout_is_there_and_read_only() -> None:
    mounts = [mount for one in SERVICES.values() for mount in one.get("volumes", [])]
    ours = [mount.split(":") for mount in mounts if mount.startswith(".")]
    assert ours
    for source, _, mode in ours:
        assert (ROOT / source).exists(), source
        assert mode == "ro", source
    named = {mount.partition(":")[0] for mount in mounts if not mount.startswith(".")}
    assert named == set(read("docker-compose.yml")["volumes"])


@pytest.mark.parametrize("name", SERVERS)
def test_a_servers_command_is_a_module_of_ours_with_flags_it_knows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, *flags = SERVERS[name]["command"]
    importlib.import_module(module)
    for variable, value in SERVERS[name]["environment"].items():
        monkeypatch.setenv(variable, str(value))
    parser = arguments(module.partition(".")[2], "")
    if module.endswith("kafka_worker"):
        add_kafka_flags(parser)
    told = parser.parse_args(flags)
    given = {word for flag in flags for word in flag.split("=")}
    inside = {port for port in (told.port, told.metrics_port) if str(port) in given}
    assert set(published(name)) == inside


# Target files: every server, under the name compose-<service>.


def test_every_server_and_the_router_is_a_target_by_name() -> None:
    names = {item.name for item in known_targets() if item.name.startswith("compose-")}
    assert names == {f"compose-{name.replace('kafka-worker', 'kafka')}" for name in [*SERVERS, "router"]}


@pytest.mark.parametrize("name", [*SERVERS, "router"])
def test_a_target_file_leads_to_its_service(name: str) -> None:
    target = load_target(f"compose-{name.replace('kafka-worker', 'kafka')}")
    command = SERVICES[name]["command"]
    assert target.is_external
    assert target.model == SERVERS.get(name, SERVERS["fastapi"])["environment"]["PROOFLOAD_MODEL"]
    assert urlsplit(target.url).hostname == "127.0.0.1"
    port = urlsplit(target.url).port
    side = {urlsplit(url).port for url in (target.ready_url, target.live_url, target.metrics_url) if url}
    match target.transport:
        case "http":
            assert {port} == set(published(name).values()) == side
        case "grpc":
            assert port == published(name)[8000]
            assert side == {published(name)[9100]}
        case _:
            assert port == published("kafka")[9092]
            assert side == {published(name)[9100]}
            flags = dict(word.lstrip("-").split("=") for word in command if "=" in word)
            topics = (flags.get("input-topic", "features"), flags.get("output-topic", "predictions"))
            assert (target.request.topic, target.response.topic) == topics


def test_kafka_tells_the_host_the_address_it_is_published_at() -> None:
    told = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert f"OUTSIDE://127.0.0.1:{published('kafka')[9092]}" in told
    inside = dict(listener.split("://") for listener in told)["INSIDE"]
    for name in ("kafka-worker", "kafka-worker-gpu"):
        assert inside in " ".join(SERVICES[name]["command"])


def test_the_routers_scenario_goes_through_the_router() -> None:
    path = ROOT / "observability" / "router" / "canary.scenario.toml"
    scenario = load_scenario(str(path), quick=True)
    assert scenario.target_names() == ["compose-fastapi"]
    assert scenario.canary_name == "compose-fastapi-canary"
    driver = tomllib.loads(path.read_text(encoding="utf-8"))["driver"]
    assert urlsplit(driver["url"]).port == published("router")[8080]
    assert SERVICES["router"]["volumes"] == ["./observability/router:/etc/router:ro"]
    for word in [*driver["move"], *SERVICES["router"]["command"], *SERVICES["router"]["healthcheck"]["test"]]:
        if word.startswith("/"):
            assert (path.parent / Path(word).name).is_file(), word
    configured = (path.parent / "nginx.conf").read_text(encoding="utf-8")
    assert re.findall(r"upstream (\w+) \{ server ([\w-]+):(\d+)", configured) == [
        ("baseline", "fastapi", "8000"),
        ("canary", "fastapi-canary", "8000"),
    ]
    assert f"add_header {driver['arm_header']} " in configured


# Prometheus, and the page.


def test_prometheus_looks_for_every_server_where_it_shows_its_metrics() -> None:
    (job,) = (
        job for job in read("observability/prometheus/prometheus.yml")["scrape_configs"] if "dns_sd_configs" in job
    )
    wanted = {name: 9100 if 9100 in published(name) else 8000 for name in SERVERS}
    assert {name: look["port"] for look in job["dns_sd_configs"] for name in look["names"]} == wanted


def test_grafana_asks_the_prometheus_of_the_project() -> None:
    (source,) = read("observability/grafana/provisioning/datasources/prometheus.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = read("observability/grafana/provisioning/dashboards/proofload.yml")["providers"]
    assert f":{provider['options']['path']}:" in " ".join(SERVICES["grafana"]["volumes"])


def test_the_page_tells_every_service_with_its_ports() -> None:
    page = (ROOT / "docs" / "compose.md").read_text(encoding="utf-8")
    rows = {row[0]: row[1] for row in re.findall(r"^\| `([a-z-]+)` \|([^|]*)\|", page, re.MULTILINE)}
    assert set(rows) == set(SERVICES)
    for name, told in rows.items():
        assert {int(port) for port in re.findall(r"\d+", told)} == set(published(name).values()), name


def test_the_page_names_variables_and_files_that_exist() -> None:
    page = (ROOT / "docs" / "compose.md").read_text(encoding="utf-8")
    known = {name for name, _ in VARIABLE.findall((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))}
    told = set(re.findall(r"\b([A-Z][A-Z_]+)=", page)) | set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE))
    assert told - known <= {"GPU"}, "GPU=1 is make's"
    for path in re.findall(r"`((?:observability|targets|docs)/[\w./-]*)`", page):
        assert (ROOT / path).exists(), path


def test_compose_accepts_the_file(required_program: Callable[..., str]) -> None:
    """Whichever is installed: version 1 as a program, version 2 as a plugin of docker. No engine is asked."""
    required_program("docker-compose", "docker")
    commands = [["docker-compose"], ["docker", "compose"]]
    there = [command for command in commands if shutil.which(command[0]) and ran(*command, "version").returncode == 0]
    assert there, "docker has no plugin compose, and there is no docker-compose"
    profiles = [word for profile in sorted(PROFILES) for word in ("--profile", profile)]
    for command in there:
        done = ran(*command, *profiles, "config", "--quiet")
        assert done.returncode == 0, (command, done.stderr)


def ran(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
