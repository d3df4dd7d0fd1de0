"""How faults are found, asked for and refused; and that a server without one is the very server it was."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from proofload_servers.faults import all_faults, check, listing, names_of_options, planted
from proofload_servers.serving import Service, Settings, StartupError, arguments
from proofload_servers.serving.batcher import Batcher
from proofload_servers.serving.seams import HEALTHY, Seams, combined

PROGRAMS = ["fastapi_app", "flask_app", "grpc_service", "kafka_worker"]
ALLOW = "PROOFLOAD_ALLOW_FAULTS"
IN_METHODS = {
    "soak": {"leak-memory", "leak-fd", "leak-thread", "leak-socket", "latency-creep"},
    "peak-10x": {
        "unbounded-queue", "zombie-work", "block-event-loop", "full-queue-blocks", "oversubscribed-threads",
        "static-batching",
    },
    "cold-start": {"ready-before-load", "lazy-load-per-worker", "no-warmup", "slow-load"},
    "canary-rollback": {"errors", "slow-tail", "wrong-predictions", "wrong-version-label", "drop-inflight-on-sigterm"},
}  # fmt: skip
CONTROLS = {"sawtooth-memory", "filling-cache", "slow-but-honest", "stalls", "faster"}


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOW, "1")


def test_every_fault_of_the_table_is_there_under_its_scenario() -> None:
    for scenario, names in IN_METHODS.items():
        found = {name for name, fault in all_faults().items() if fault.scenario == scenario and not fault.control}
        assert names <= found, scenario
    assert {name for name, fault in all_faults().items() if fault.control} >= CONTROLS


@pytest.mark.parametrize("name", all_faults())
def test_a_fault_says_what_it_does_and_its_defaults_can_be_asked_for(name: str, allowed: None) -> None:
    fault = all_faults()[name]
    assert fault.summary
    assert fault.servers
    written = ",".join(f"{key}={value}" for key, value in names_of_options(fault).items())
    for server in fault.servers:
        check([name, f"{name}:{written}" if written else name], server=server)
    assert all(word in listing() for word in (name, fault.summary, fault.scenario))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("leak-memry", "did you mean 'leak-memory'?"),
        ("leak-memory:byte=1", "did you mean 'bytes'?"),
        ("leak-memory:bytes", "'bytes' is not key=value"),
        ("leak-memory:bytes=much", "'much' is not a number"),
        ("leak-memory:bytes=-1", "not negative"),
        ("leak-memory:bytes=1.5", "not a whole number"),
        ("leak-memory:per=day", "choose from request, second"),
        ("latency-creep:ms_per_s=nan", "not negative"),
        ("errors:share=1.1", "more than 1"),
        ("leak-fd:every=0", "at least 1"),
    ],
)
def test_what_cannot_be_planted_is_refused_with_words_that_help(spec: str, words: str, allowed: None) -> None:
    with pytest.raises(StartupError) as caught:
        planted([spec])
    assert words in str(caught.value)


def test_a_server_that_cannot_have_a_fault_says_which_can(allowed: None) -> None:
    with pytest.raises(StartupError, match="servers that can have it: fastapi, grpc"):
        check(["block-event-loop"], server="flask_app")


def test_no_fault_is_planted_unless_the_environment_allows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (None, "", "0", "yes"):
        if value is None:
            monkeypatch.delenv(ALLOW, raising=False)
        else:
            monkeypatch.setenv(ALLOW, value)
        with pytest.raises(StartupError, match=f"{ALLOW}=1"):
            planted(["errors"])
        with pytest.raises(StartupError, match=f"{ALLOW}=1"):
            Service.start(Settings(model="any", fault=("errors",)))


def test_a_server_without_a_fault_runs_its_own_parts_and_nothing_in_between(service: Service) -> None:
    assert service.seams is HEALTHY
    assert type(service._batcher) is Batcher
    assert service._admit == service._enqueue
    assert service._turn_away == service._stop_being_ready
    assert service._batcher._finish == service._finish
    assert service._model is not None
    assert service._batcher._compute is service._model.compute
    assert arguments("fastapi_app", "x").parse_args(["--model", "m"]).fault is None


def test_faults_that_take_the_same_seam_are_applied_in_the_order_given() -> None:
    def adding(letter: str) -> Callable[[str], str]:
        return lambda part: part + letter

    joined = combined([Seams(card=adding("a")), Seams(), Seams(card=adding("b"))])  # type: ignore[arg-type]
    assert joined.card("-") == "-ab"  # type: ignore[arg-type, comparison-overlap]


@pytest.mark.real
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_server_program_refuses_a_fault_with_one_message_and_exit_2(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ALLOW, raising=False)
    command = [sys.executable, "-m", f"proofload_servers.{program}", "--model", "none", "--fault", "errors"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: --fault")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_flag_list_prints_all_faults_and_ends(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments(program, "x").parse_args(["--fault", "list"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == listing()
