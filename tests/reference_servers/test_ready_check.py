"""What a container's health check asks, and what it makes of the answer."""

from __future__ import annotations

import socket
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proofload_servers import ready_check
from proofload_servers.ready_check import address, answer
from proofload_servers.serving import Settings

FASTAPI = ["python", "-m", "proofload_servers.fastapi_app"]
GRPC = ["python", "-m", "proofload_servers.grpc_service"]


@contextmanager
def peer(says: bytes) -> Iterator[int]:
    """A port on which one caller is told `says`, once it has asked, and hung up on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(says)

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(listener.getsockname()[1])
        thread.join()


@pytest.fixture
def first_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """`first_process("python", "-m", …)`: what /proc says of it."""
    file = tmp_path / "cmdline"
    monkeypatch.setattr(ready_check, "FIRST_PROCESS", str(file))

    def begins(*argv: str) -> None:
        file.write_bytes(b"".join(word.encode() + b"\0" for word in argv))

    return begins


@pytest.mark.parametrize(
    ("argv", "env", "expected"),
    [
        (FASTAPI, {}, ("127.0.0.1", 8000)),
        ([*FASTAPI, "--port", "9001"], {}, ("127.0.0.1", 9001)),
        ([*FASTAPI, "--port=9001", "--port", "9002"], {"PROOFLOAD_PORT": "7"}, ("127.0.0.1", 9002)),
        (FASTAPI, {"PROOFLOAD_PORT": "7000", "PROOFLOAD_HOST": "10.0.0.5"}, ("10.0.0.5", 7000)),
        ([*FASTAPI, "--host", "0.0.0.0"], {}, ("127.0.0.1", 8000)),
        ([*FASTAPI, "--host", "::"], {}, ("::1", 8000)),
        ([*GRPC, "--port", "8000", "--metrics-port", "9100"], {}, ("127.0.0.1", 9100)),
        (GRPC, {"PROOFLOAD_METRICS_PORT": "9100"}, ("127.0.0.1", 9100)),
        (["/sbin/docker-init", "--", *GRPC, "--metrics-port=9100"], {}, ("127.0.0.1", 9100)),
    ],
)
def test_the_address_is_the_one_that_the_server_was_given(
    argv: list[str], env: dict[str, str], expected: tuple[str, int]
) -> None:
    assert address(argv, env) == expected


def test_a_port_that_the_server_chose_itself_cannot_be_asked() -> None:
    with pytest.raises(ValueError, match="--metrics-port is 0"):
        address(GRPC, {})


def test_a_first_process_that_is_no_server_of_ours_is_named() -> None:
    with pytest.raises(ValueError, match="none of our servers: sleep 60"):
        address(["sleep", "60"], {})


def test_its_defaults_are_those_of_the_servers() -> None:
    own = {name.lstrip("-").replace("-", "_"): value for name, value in ready_check.DEFAULTS.items()}
    settings = Settings(model="any")
    assert {name: str(getattr(settings, name)) for name in own} == own


def test_each_server_is_asked_on_the_port_that_its_target_file_names(checkout: Path) -> None:
    asked = {}
    for path in (checkout / "reference_servers" / "proofload_servers").glob("*/target.toml"):
        target = tomllib.loads(path.read_text(encoding="utf-8"))
        command = [word.replace("{port:metrics}", "2").replace("{port}", "1") for word in target["start"]["command"]]
        port = 2 if "{port:metrics}" in target["health"]["ready"] else 1
        asked[target["name"]] = address(command, {}) == ("127.0.0.1", port)
    assert len(asked) >= 4
    assert all(asked.values()), asked


def test_a_server_without_a_target_file_is_asked_on_its_main_port() -> None:
    assert address(["python", "-m", "proofload_servers.unheard_of"], {}) == ("127.0.0.1", 8000)


@pytest.mark.parametrize(
    ("says", "code"),
    [
        (b'HTTP/1.1 200 OK\r\n\r\n{"status":"ready"}', 0),
        (b'HTTP/1.0 200 OK\r\n\r\n{"status":"ready"}', 0),
        (b'HTTP/1.1 503 Service Unavailable\r\n\r\n{"status":"draining"}', 1),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", 1),
        (b"PRI * HTTP/2.0\r\n\r\n", 1),
        (b"", 1),
    ],
)
def test_only_200_is_ready(
    says: bytes, code: int, first_process: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with peer(says) as port:
        first_process(*FASTAPI, "--port", str(port))
        assert ready_check.main() == code
    assert capsys.readouterr().out


def test_nobody_listening_is_not_ready(
    first_process: Callable[..., None], free_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    first_process(*FASTAPI, "--port", str(free_port))
    assert ready_check.main() == 1
    assert "refused" in capsys.readouterr().out


def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    with peer(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000) as port:
        status, body = answer("127.0.0.1", port)
    assert status == 200
    assert len(body) < 3 * ready_check.ENOUGH_BYTES


def test_what_cannot_be_read_is_not_ready(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ready_check, "FIRST_PROCESS", str(tmp_path / "absent"))
    assert ready_check.main() == 1
