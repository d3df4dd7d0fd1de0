"""Why a started target died, as far as its exit status and the end of its log tell."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """In words: how it ended, the likely cause, what to do next. `address_in_use`: another port may help."""

    ended: str
    cause: str
    remedy: str
    address_in_use: bool = False


AT_ITS_MEMORY_LIMIT = "its memory limit was reached"
"""In the cause of a target's death: the kernel has killed a process of it for that, by all likelihood this one."""
_ADDRESS_IN_USE = re.compile(
    r"(address|connection) (already )?in use|EADDRINUSE|errno 98\b|failed to bind", re.IGNORECASE
)

_CAUSES: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (_ADDRESS_IN_USE, "its port is taken", "see who holds it with `ss -tlnp`, or use {{port}} in the target file"),
    (
        re.compile(r"ModuleNotFoundError: No module named '([^']+)'"),
        "the Python module {0} is not installed for the interpreter that was started",
        "install it there, or start the target with the interpreter that has it ({{python}}: the one proofload has)",
    ),
    (re.compile(r"ImportError: (.+)"), "an import failed: {0}", "repair the installation it names"),
    (re.compile(r"SyntaxError: (.+)"), "its source does not parse: {0}", "correct it, or check the Python version"),
    (
        re.compile(r"error: (unrecognized arguments: .+|argument .+|the following arguments are required: .+)"),
        "it does not understand its command line: {0}",
        "correct [start] command in the target file",
    ),
    (
        re.compile(r"can't open file '([^']+)|FileNotFoundError: .*?'([^']+)'|No such file or directory: '([^'\n]+)"),
        "a file is missing: {0}",
        "check the path; it is relative to the target file's folder",
    ),
    (
        re.compile(r"CUDA out of memory|CUDA_ERROR_OUT_OF_MEMORY|CUBLAS_STATUS_ALLOC_FAILED", re.IGNORECASE),
        "the GPU's memory is used up",
        "see who uses it with `nvidia-smi`",
    ),
    (
        re.compile(r"--device (\w+): (?:no|a) part of .+ be computed"),
        "its model, or a part of it, is not made for the device {0}",
        "use `--device cpu`, or a model that is: `--set target.model=resnet50`",
    ),
    (
        re.compile(r"--device (cuda|tensorrt) (?:needs|cannot be used|was asked for)"),
        "what the device {0} needs is not installed where it was started",
        "use `--device cpu`, or install the GPU set-up; `proofload doctor` says what is missing",
    ),
    (
        re.compile(r"libcud\w+\.so|libcublas|libnvinfer|CUDA driver version is ins|no CUDA-capable", re.IGNORECASE),
        "the GPU libraries or driver it needs are not there",
        "use `--device cpu`, or install the GPU set-up; `proofload doctor` says what is missing",
    ),
    (
        re.compile(r"takes no such session|invalid session timeout|session timeout is not within", re.IGNORECASE),
        "its broker refuses sessions as short as it asks for (group.min.session.timeout.ms there: 6 s unless changed)",
        "ask for 6 s or more; kafka-delivery tells workers a time that the broker takes where `env` says {{session_s}}",
    ),
    (
        re.compile(r"MemoryError|std::bad_alloc|Cannot allocate memory|out of memory", re.IGNORECASE),
        "it ran out of memory",
        "raise limits.memory_mib, or give it less to hold",
    ),
    (
        re.compile(r"PermissionError: (.+)|Permission denied"),
        "it may not do something it tries: {0}",
        "ports below 1024 and other users' files need rights",
    ),
)  # fmt: skip

_BY_SIGNAL = {
    signal.SIGSEGV: ("native code in it crashed", "run its command by hand; suspect mismatched binary packages"),
    signal.SIGABRT: ("native code in it gave up (abort)", "the reason is usually its last line"),
    signal.SIGILL: ("it was built for another processor", "install a build for this machine"),
    signal.SIGTERM: ("something outside proofload asked it to end", "look for a supervisor or a timeout of its own"),
}


def diagnose(exit_code: int, log: str, *, out_of_memory: bool = False) -> Diagnosis:
    """`exit_code` as subprocess gives it (negative: a signal); `out_of_memory`: the kernel killed a process of it at
    its memory limit, the first one or another."""
    ended = _ending(exit_code)
    killed = exit_code in {-signal.SIGKILL, 128 + signal.SIGKILL}
    if out_of_memory or killed:
        who = "it" if killed else "a process of it"
        by = f"most likely because {AT_ITS_MEMORY_LIMIT}" if out_of_memory else "for want of memory, or by a person"
        remedy = "raise limits.memory_mib, or free memory (`dmesg` says more)"
        return Diagnosis(ended, f"{who} was killed, {by}", remedy)
    for pattern, cause, remedy in _CAUSES:
        matches = list(pattern.finditer(log))
        if matches:
            what = next((group.strip() for group in matches[-1].groups() if group), matches[-1][0])
            return Diagnosis(ended, cause.format(what), remedy.format(), address_in_use=pattern is _ADDRESS_IN_USE)
    if exit_code < 0 and -exit_code in _BY_SIGNAL:
        return Diagnosis(ended, *_BY_SIGNAL[signal.Signals(-exit_code)])
    if exit_code == 127:
        return Diagnosis(ended, "a program it calls was not found", "check [start] command and PATH")
    if exit_code == 0:
        return Diagnosis(ended, "it did its work and ended, or went into the background", "start it in the foreground")
    return Diagnosis(ended, "" if log else "it wrote nothing before it ended", "run its command by hand")


def _ending(exit_code: int) -> str:
    number = -exit_code if exit_code < 0 else exit_code - 128 if 128 < exit_code < 160 else 0
    try:
        return f"ended by {signal.Signals(number).name}" if number else f"ended with exit status {exit_code}"
    except ValueError:
        return f"ended with exit status {exit_code}"
