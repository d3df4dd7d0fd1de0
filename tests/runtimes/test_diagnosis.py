"""The likely cause of a death is read from its exit status and its last words."""

from __future__ import annotations

import signal

import pytest

from proofload.runtimes._diagnosis import diagnose


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        ("ModuleNotFoundError: No module named 'onnx.x'", "onnx.x"),
        ("ImportError: libfoo.so.1: cannot open shared object file", "libfoo.so.1"),
        ("OSError: [Errno 98] Address already in use", "port is taken"),
        ("[ERROR] Connection in use: ('127.0.0.1', 80)\nAddress already in use", "port is taken"),
        ("E0000 Failed to bind to address [::]:50051", "port is taken"),
        ("usage: x\nx: error: unrecognized arguments: --prot 3", "--prot 3"),
        ("x: error: the following arguments are required: --model", "--model"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'model.onnx'", "model.onnx"),
        ("python3: can't open file '/srv/serve.py': [Errno 2] No such file or directory", "/srv/serve.py"),
        ("SyntaxError: invalid syntax", "invalid syntax"),
        ("libcudnn.so.9: cannot open shared object file", "GPU"),
        (
            "error: --device cuda needs CUDAExecutionProvider, which the installed onnxruntime 1 lacks",
            "device cuda needs",
        ),
        ("error: --device cuda cannot be used: libcuda.so.1: No such file or directory; …", "device cuda needs"),
        (
            "error: --device cuda: no part of m.onnx can be computed there, all of it would be on CPU",
            "for the device cuda",
        ),
        (
            "error: --device tensorrt: a part of m.onnx would be computed on the CPU (2 × LSTM)",
            "for the device tensorrt",
        ),
        (
            "error: --session-timeout-s 4: the broker takes no such session; by default …",
            "group.min.session.timeout.ms",
        ),
        ("cimpl.KafkaException: JoinGroup failed: Broker: Invalid session timeout", "group.min.session.timeout.ms"),
        ("MemoryError", "out of memory"),
        ("PermissionError: [Errno 13] Permission denied", "may not do"),
    ],
)
def test_a_known_last_word_names_the_cause(log: str, cause: str) -> None:
    found = diagnose(1, f"starting\n{log}\n")
    assert cause in found.cause
    assert found.remedy
    assert found.ended == "ended with exit status 1"


def test_the_last_error_counts_and_not_an_earlier_one() -> None:
    log = "ModuleNotFoundError: No module named 'optional'\nModuleNotFoundError: No module named 'needed'"
    assert "needed" in diagnose(1, log).cause


def test_only_a_taken_port_is_worth_another_one() -> None:
    assert diagnose(1, "Address already in use").address_in_use
    assert not diagnose(1, "ModuleNotFoundError: No module named 'x'").address_in_use


@pytest.mark.parametrize("code", [-9, 137])
def test_a_kill_points_to_memory_or_a_person(code: int) -> None:
    found = diagnose(code, "all was well")
    assert "SIGKILL" in found.ended
    assert "memory" in found.cause


def test_a_reached_memory_limit_is_stated_and_that_it_ended_the_server_is_only_likely() -> None:
    first = diagnose(137, "", out_of_memory=True).cause
    assert first == "it was killed, most likely because its memory limit was reached"
    assert diagnose(1, "", out_of_memory=True).cause.startswith("a process of it was killed")


def test_signals_are_named_and_odd_codes_do_not_break() -> None:
    assert "SIGSEGV" in diagnose(-signal.SIGSEGV, "").ended
    assert diagnose(159, "").ended
    assert diagnose(-70, "").ended
    assert diagnose(127, "sh: x: not found").cause == "a program it calls was not found"


def test_an_unknown_end_claims_no_cause() -> None:
    assert not diagnose(3, "strange words").cause
