"""What there is to say of this machine before anything is measured on it. Reads, changes nothing."""

from __future__ import annotations

import itertools
import json
import os
import platform
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib import metadata, util
from pathlib import Path

from proofload import discovery

LIBRARIES = (
    "numpy", "scipy", "pandas", "pyarrow", "pydantic", "typer", "rich", "matplotlib", "orjson", "uvloop",
    "grpcio", "confluent-kafka", "flask", "fastapi", "onnx", "scikit-learn",
)  # fmt: skip
_ENOUGH_FILES = 4096
_ENOUGH_PORTS = 10_000
_ENOUGH_SHM_BYTES = 64 << 20
_TIMER_TRIES = 200


class Grade(Enum):
    """How a finding bears on measuring."""

    GOOD = "good"
    NOTE = "note"
    DOUBT = "doubt"
    """Numbers may suffer, or a part is not to be had."""
    BROKEN = "broken"
    """proofload cannot work here."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination. `remedy` is what to do about it."""

    name: str
    grade: Grade
    says: str
    remedy: str = ""


def examine() -> Iterator[tuple[str, Sequence[Finding]]]:
    """The examination, section by section, each as it is done."""
    yield "machine", _asked(cores, memory, shared_memory, governor, steal, load_average)
    yield "limits", _asked(open_files, local_ports, time_wait)
    yield "clock", _asked(clock_source, clock_step, timer)
    yield "software", _asked(python, libraries)
    yield "parts", list(parts())
    yield "serving", _asked(onnx_providers, kafka_library, docker_engine, fixtures)


def conclusion(found: Sequence[Finding]) -> list[str]:
    """What to make of it, and what to type next."""
    broken = [one for one in found if one.grade is Grade.BROKEN]
    if broken:
        return [f"proofload cannot work here: {', '.join(one.name for one in broken)}", f"next: {broken[0].remedy}"]
    doubts = [one.name for one in found if one.grade is Grade.DOUBT]
    said = f"fit to measure, with reserve: {', '.join(doubts)}" if doubts else "fit to measure"
    return [said, "next: proofload run load --quick"]


def cores() -> Finding:
    usable = sorted(os.sched_getaffinity(0))
    says = f"{os.cpu_count()}, of which usable: {_ranges(usable)}"
    quota = _cpu_quota()
    if quota is not None:
        says += f"; a control group allows {quota:.3g} cores' worth of time"
    if len(usable) < 2 or (quota is not None and quota < 2):
        return Finding("cores", Grade.DOUBT, says, "give it two: client and target share one and disturb each other")
    return Finding("cores", Grade.GOOD, says)


def memory() -> Finding:
    import psutil

    now = psutil.virtual_memory()
    says = f"{now.total / 2**30:.1f} GiB, {now.available / 2**30:.1f} GiB free to use"
    if now.available < 2**30:
        return Finding("memory", Grade.DOUBT, says, "close something: a run of the reference servers takes about 1 GiB")
    return Finding("memory", Grade.GOOD, says)


def shared_memory() -> Finding:
    name = "/dev/shm"  # noqa: S108  asked about, not written to
    try:
        room = os.statvfs(name)
    except OSError as exc:
        return Finding(name, Grade.NOTE, f"not there ({exc.strerror})")
    free = room.f_bavail * room.f_frsize
    says = f"{room.f_blocks * room.f_frsize / 2**20:,.0f} MiB, {free / 2**20:,.0f} MiB free"
    if free < _ENOUGH_SHM_BYTES:
        return Finding(name, Grade.NOTE, says + "; small for servers that share memory between processes")
    return Finding(name, Grade.GOOD, says)


def governor() -> Finding:
    found = {_line(path) for path in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")}
    if not found:
        return Finding("CPU governor", Grade.NOTE, "not visible (usual in virtual machines and containers)")
    says = ", ".join(sorted(found))
    if found <= {"performance"}:
        return Finding("CPU governor", Grade.GOOD, says)
    remedy = "for steady numbers: sudo cpupower frequency-set -g performance"
    return Finding("CPU governor", Grade.DOUBT, f"{says}: the clock rate follows the load", remedy)


def steal() -> Finding:
    import psutil

    times = psutil.cpu_times()
    total = sum(times)
    share = getattr(times, "steal", 0.0) / total if total else 0.0
    says = f"{share:.2%} of the time since boot was taken by the hypervisor"
    if share > 0.01:
        return Finding("CPU steal", Grade.DOUBT, says, "use a machine with cores of its own; repeat and compare ratios")
    return Finding("CPU steal", Grade.GOOD, says)


def load_average() -> Finding:
    now, usable = os.getloadavg()[0], len(os.sched_getaffinity(0))
    says = f"{now:.2f} on {usable} cores in the last minute"
    if now > 0.5 * usable:
        return Finding("load", Grade.DOUBT, says, "wait, or stop what is running: it competes with the measurement")
    return Finding("load", Grade.GOOD, says)


def open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    says = f"{_limit(soft)} (can be raised to {_limit(hard)})"
    most = float("inf") if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < _ENOUGH_FILES:
        remedy = f"ulimit -n {min(most, 65_536):.0f}, for more than {max(soft - 64, 0):,} connections"
        return Finding("open files", Grade.DOUBT if most < _ENOUGH_FILES else Grade.NOTE, says, remedy)
    return Finding("open files", Grade.GOOD, says)


def local_ports() -> Finding:
    try:
        low, high = map(int, _line(Path("/proc/sys/net/ipv4/ip_local_port_range")).split())
    except ValueError:
        return Finding("local ports", Grade.NOTE, "range not visible")
    says = f"{low}–{high}: {high - low + 1:,} connections to one address"
    if high - low < _ENOUGH_PORTS:
        return Finding("local ports", Grade.DOUBT, says, "sudo sysctl -w net.ipv4.ip_local_port_range='15000 65000'")
    return Finding("local ports", Grade.GOOD, says)


def time_wait() -> Finding:
    reuse = _line(Path("/proc/sys/net/ipv4/tcp_tw_reuse"))
    meaning = {"0": "never", "1": "for all", "2": "on the loopback interface"}.get(reuse)
    if meaning is None:
        return Finding("TIME_WAIT reuse", Grade.NOTE, "not visible")
    if reuse == "0":
        remedy = "targets that close after each answer use up the ports: sudo sysctl -w net.ipv4.tcp_tw_reuse=1"
        return Finding("TIME_WAIT reuse", Grade.DOUBT, meaning, remedy)
    return Finding("TIME_WAIT reuse", Grade.GOOD, meaning)


def clock_source() -> Finding:
    source = _line(Path("/sys/devices/system/clocksource/clocksource0/current_clocksource"))
    if not source:
        return Finding("clock source", Grade.NOTE, "not visible")
    if source in {"tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"}:
        return Finding("clock source", Grade.GOOD, source)
    remedy = "it takes a system call to read: at high rates the client spends its time on the clock"
    return Finding("clock source", Grade.DOUBT, source, remedy)


def clock_step() -> Finding:
    """The smallest step seen, and what a reading costs."""
    readings = [time.monotonic_ns() for _ in range(20_000)]
    steps = [later - earlier for earlier, later in itertools.pairwise(readings) if later > earlier]
    if not steps:
        return Finding("clock step", Grade.BROKEN, "the monotonic clock stands still", "repair the machine's clock")
    cost = (readings[-1] - readings[0]) / (len(readings) - 1)
    says = f"{min(steps):,} ns at the finest; a reading costs {cost:,.0f} ns"
    if min(steps) > 100_000:
        return Finding("clock step", Grade.DOUBT, says, "too coarse for latencies below a millisecond")
    return Finding("clock step", Grade.GOOD, says)


def timer() -> Finding:
    """How late a sleep of 1 ms wakes up: scheduling and timer slack together."""
    late = sorted(_overslept(0.001) for _ in range(_TIMER_TRIES))
    median, p99 = late[len(late) // 2] / 1e6, late[int(len(late) * 0.99)] / 1e6
    slack = _line(Path("/proc/self/timerslack_ns"))
    says = f"a sleep of 1 ms ends {median:.2f} ms late at the median, {p99:.2f} ms at p99" + (
        f"; slack {int(slack) // 1000} µs" if slack.isdigit() else ""
    )
    if p99 > 5:
        return Finding("timer", Grade.DOUBT, says, "something else uses the cores: stop it, or runs may be invalid")
    return Finding("timer", Grade.GOOD, says)


def python() -> Finding:
    says = f"{platform.python_version()} ({platform.python_implementation()}) in {sys.prefix}"
    return Finding("python", Grade.GOOD, says)


def libraries() -> Finding:
    found = {name: _version(name) for name in LIBRARIES}
    there = ", ".join(f"{name} {version}" for name, version in found.items() if version)
    missing = [name for name, version in found.items() if not version]
    says = there + (f"; not installed: {', '.join(missing)}" if missing else "")
    return Finding("libraries", Grade.NOTE, says, "pip install 'proofload[servers]'" if missing else "")


def parts() -> Iterator[Finding]:
    """Every implementation of every extension point."""
    for kind in discovery.KINDS:
        found = discovery.implementations(kind)
        missing = [one for one in found.values() if one.module is None]
        there = ", ".join(one.name for one in found.values() if one.module is not None)
        if not found or not there:
            yield Finding(f"{kind}s", Grade.BROKEN, "none", "reinstall proofload: files are missing")
        else:
            yield Finding(f"{kind}s", Grade.GOOD, f"available: {there}")
        for one in missing:
            yield Finding(f"{kind} {one.name}", Grade.DOUBT, f"unavailable: {one.reason}", "install what it names")


def onnx_providers() -> Finding:
    if util.find_spec("onnxruntime") is None:
        remedy = "pip install 'proofload[servers]' (or [servers-gpu]); not needed for servers of your own"
        return Finding("ONNX Runtime", Grade.DOUBT, "unavailable: not installed", remedy)
    try:
        import onnxruntime

        names = {
            "CPUExecutionProvider": "cpu",
            "CUDAExecutionProvider": "cuda",
            "TensorrtExecutionProvider": "tensorrt",
        }
        built = [names[one] for one in onnxruntime.get_available_providers() if one in names]
    except Exception as exc:  # noqa: BLE001  a broken native library fails in many ways; this is where it is told
        return Finding("ONNX Runtime", Grade.DOUBT, f"unavailable: {type(exc).__name__}: {exc}", "reinstall it")
    says = f"{onnxruntime.__version__}; --device {', '.join(sorted(built))}"
    if "cuda" in built and not Path("/dev/nvidiactl").exists():
        says += " (no NVIDIA device here: only cpu will work)"
    return Finding("ONNX Runtime", Grade.GOOD, says)


def kafka_library() -> Finding:
    try:
        import confluent_kafka
    except ImportError as exc:
        return Finding("Kafka", Grade.DOUBT, f"unavailable: {exc}", "pip install confluent-kafka")
    return Finding("Kafka", Grade.GOOD, f"librdkafka {confluent_kafka.libversion()[0]}, with its embedded broker")


def docker_engine() -> Finding:
    """Asked through its socket: the command line tool and the Python library are optional."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://"):
        return Finding("docker", Grade.NOTE, f"DOCKER_HOST is {host}: not asked")
    try:
        version = _docker_version(host.removeprefix("unix://"))
    except (OSError, ValueError, KeyError, TypeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else f"{type(exc).__name__}: {exc}"
        return Finding("docker", Grade.NOTE, f"unavailable: {host}: {reason}; only --runtime container needs it")
    return Finding("docker", Grade.GOOD, f"engine {version}")


def fixtures() -> Finding:
    from proofload.resources import fixtures_dir

    home = fixtures_dir()
    built = sorted(path.parent.name for path in home.glob("*/model.json"))
    if not built:
        return Finding(
            "models", Grade.NOTE, f"none built yet in {home}", "built when needed, or now: proofload fixtures"
        )
    return Finding("models", Grade.GOOD, f"{', '.join(built)} in {home}")


def _docker_version(path: str) -> str:
    """HTTP/1.0 by hand: the answer ends with the connection, and nothing stays open when there is none."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(2.0)
        asking.connect(path)
        asking.sendall(b"GET /version HTTP/1.0\r\nHost: docker\r\n\r\n")
        answer = b"".join(iter(lambda: asking.recv(65536), b""))
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["Version"])


def _asked(*questions: Callable[[], Finding]) -> list[Finding]:
    """The answers; a question that cannot be answered here is a note and spoils no other."""
    answers: list[Finding] = []
    for question in questions:
        try:
            answers.append(question())
        except Exception as exc:  # noqa: BLE001  the doctor examines broken machines
            name = question.__name__.replace("_", " ")
            answers.append(Finding(name, Grade.NOTE, f"cannot be told: {type(exc).__name__}: {exc}"))
    return answers


def _overslept(seconds: float) -> int:
    before = time.monotonic_ns()
    time.sleep(seconds)
    return time.monotonic_ns() - before - round(seconds * 1e9)


def _cpu_quota() -> float | None:
    quota, _, period = _line(Path("/sys/fs/cgroup/cpu.max")).partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def _limit(value: int) -> str:
    return "no limit" if value == resource.RLIM_INFINITY else f"{value:,}"


def _ranges(numbers: Sequence[int]) -> str:
    """ "0–3, 6"."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{part[0]}–{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
