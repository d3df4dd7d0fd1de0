"""Which container engine may be used, without any."""

from __future__ import annotations

import pytest

from proofload.errors import InputError
from proofload.runtimes._container_engine import engine


def said(monkeypatch: pytest.MonkeyPatch, **environment: str) -> InputError:
    for name in ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as refusal, engine():
        pass
    return refusal.value


@pytest.mark.parametrize(
    "environment",
    [
        {"DOCKER_HOST": "ssh://somebody@elsewhere"},
        {"DOCKER_HOST": "tcp://192.0.2.1:2375"},
        {"DOCKER_HOST": "https://127.0.0.1:2376"},
        {"DOCKER_HOST": "tcp://127.0.0.1:2376", "DOCKER_TLS_VERIFY": "1"},
        {"DOCKER_HOST": "tcp://127.0.0.1:2376", "DOCKER_CERT_PATH": "/certificates"},
    ],
    ids=lambda environment: " ".join(environment.values()),
)
def test_an_engine_elsewhere_or_behind_tls_is_refused_with_the_reason(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = said(monkeypatch, **environment)
    assert "of this host only" in refusal.what
    assert all(word in refusal.evidence for word in [environment["DOCKER_HOST"], *list(environment)[1:]])
    assert "DOCKER_HOST=unix://" in refusal.remedy


@pytest.mark.parametrize(
    "environment",
    [
        {"DOCKER_HOST": "tcp://127.0.0.1:9"},
        {"DOCKER_HOST": "tcp://127.0.0.1:9", "DOCKER_TLS_VERIFY": ""},
        {"DOCKER_HOST": "unix:///nobody/docker.sock", "DOCKER_TLS_VERIFY": "1"},
    ],
    ids=lambda environment: " ".join(environment.values()),
)
def test_one_here_is_asked(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no container engine answers" in said(monkeypatch, **environment).what
