"""A container's files as this host names them, where it may look."""

from __future__ import annotations

from pathlib import Path

import pytest

from proofload.procedures._cold_start import layers


def test_what_cannot_be_looked_at_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "m.onnx").touch()
    closed = tmp_path / ("x" * 300)  # the kernel refuses it to everybody, as it does an engine's folder to all but root
    with pytest.raises(OSError, match="too long"):
        (closed / "models").exists()
    monkeypatch.setattr(layers, "inside", lambda pid: True)
    monkeypatch.setattr(layers, "_folders", lambda pid: [closed, tmp_path])
    assert list(layers.here(1, ["/models/m.onnx", "/models/absent"])) == [tmp_path / "models" / "m.onnx"]
