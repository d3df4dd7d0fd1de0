"""What a server can be told, the same flags for every server, each also from the environment as PROOFLOAD_<FLAG>.

A flag wins over its variable. A program with flags of its own adds them with `add_flag` before parsing:

    parser = arguments("grpc_service", "gRPC predictions")
    add_flag(parser, "--broker", default="", help="host:port of the Kafka broker")
    namespace = parser.parse_args(argv)
    settings = Settings.of(namespace)
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .cache.address import FORMS, checked, told
from .refusals import StartupError

DEVICES = ("cpu", "cuda", "tensorrt")
LEVELS = ("debug", "info", "warning", "error")
AUTH = ("none", "api-key", "jwt", "any")
INFERENCE = ("offloaded", "inline")
ALGORITHMS = ("", "RS256", "HS256")
FAULT_HELP = "plant a defect, to try the lab on it (repeatable); 'list' tells all of them"
MODEL_HELP = "name of a built model, a folder with model.json, or the address of one (http, https)"
TRUE_WORDS = {"1", "true", "yes", "on"}
FALSE_WORDS = {"0", "false", "no", "off", ""}


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the core and the front ends need. Times in the unit their name carries."""

    model: str
    host: str = "127.0.0.1"
    port: int = 8000
    metrics_port: int = 0  # gRPC and Kafka serve health and metrics here; 0 chooses a free one
    fixtures: str = ""  # folder of built models; "" means ./fixtures/build
    device: str = "cpu"
    threads: int = 1  # intra-op threads of the ONNX Runtime session
    inference: str = "offloaded"  # to a thread of its own; inline: where the request was taken
    max_batch: int = 0  # 0: chosen by the kind of model and the device
    max_delay_ms: float = 2.0  # how long the oldest request of an unfinished batch waits for company
    adaptive: bool = True  # the delay follows the depth of the queue, zero when it is shallow
    max_queue: int = 256  # requests waiting; the next one is shed
    max_wait_ms: float = 500.0  # sheds too when the expected wait is longer; 0: bounded by count alone
    max_body_kib: int = 1024
    max_instances: int = 128  # requests in one batch call
    workers: int = 1  # processes, each with its own model
    drain_s: float = 30.0
    drain_notice_s: float = 0.2  # between "not ready" and closing the listener, so that balancers notice
    log_level: str = "info"
    access_log: bool = False
    trt_cache: str = ""  # folder for built TensorRT engines; "" builds anew at every start
    tf32: bool = False  # a GPU may compute with fewer bits
    spinning: bool = False  # threads of the session that have no work keep their core
    cache: str = "none"  # of predictions: none, memory, or the address of a Redis
    cache_entries: int = 10_000  # of the cache in memory, in each worker
    cache_ttl_s: float = 3600.0  # 0: as long as there is room
    cache_budget_ms: float = 20.0  # how long a request waits for a Redis at most
    auth: str = "none"  # what callers must bring: an API key, a token, either
    api_keys_file: str = ""
    jwt_algorithm: str = ""
    jwt_key_file: str = ""
    jwt_issuer: str = ""  # "": any
    jwt_audience: str = ""
    jwt_scope: str = ""  # what a token must permit; "": nothing in particular
    jwt_leeway_s: float = 5.0  # by so much the clocks of issuer and server may differ
    rate_limit_rps: float = 0.0  # of each client, in each worker; 0: no limit
    rate_limit_burst: int = 0  # requests that it may make at once; 0: as many as a second brings
    rate_limit_clients: int = 10_000  # of each kind, of which a server keeps count
    guard_metrics: bool = False  # credentials for /metrics too
    allow_unauthenticated: bool = False  # beyond loopback, where something else guards the port
    fault: tuple[str, ...] = ()  # defects planted on purpose, see proofload_servers.faults

    @classmethod
    def of(cls, namespace: argparse.Namespace) -> Settings:
        """The settings among parsed flags; flags that a program added for itself are left alone."""
        given = {field.name: getattr(namespace, field.name) for field in dataclasses.fields(cls)}
        return cls(**given | {"fault": tuple(namespace.fault or ())})


def arguments(prog: str, description: str) -> argparse.ArgumentParser:
    """The shared parser. Its errors go to standard error and exit with 2."""
    parser = argparse.ArgumentParser(prog=f"python -m proofload_servers.{prog}", description=description)
    default = {field.name: field.default for field in dataclasses.fields(Settings)}

    def flag(name: str, kind: Callable[[str], Any], help_text: str, choices: tuple[str, ...] | None = None) -> None:
        add_flag(parser, name, kind=kind, default=default[_member(name)], help=help_text, choices=choices)

    add_flag(parser, "--model", kind=str, default=None, help=MODEL_HELP)
    flag("--host", str, "address to listen on")
    flag("--port", _port, "port to listen on")
    flag("--metrics-port", _port, "port for health and metrics where the main port speaks no HTTP; 0: a free one")
    flag("--fixtures", str, "folder of built models (default ./fixtures/build)")
    flag("--device", str, "where the model runs", DEVICES)
    flag("--threads", _positive, "intra-op threads of the session")
    flag("--inference", str, "on a thread of its own, or where the request is taken (see inline.py)", INFERENCE)
    flag("--max-batch", _count, "largest batch; 0 chooses by kind of model and device")
    flag("--max-delay-ms", _not_negative, "longest wait for a batch to fill")
    add_switch(parser, "--adaptive", default=True, help="let the delay follow the depth of the queue")
    flag("--max-queue", _positive, "requests that may wait; more are shed")
    flag("--max-wait-ms", _not_negative, "shed when the expected wait is longer; 0: never for that reason")
    flag("--max-body-kib", _positive, "largest request body")
    flag("--max-instances", _positive, "most requests in one batch call")
    flag("--workers", _positive, "server processes, each holding a model")
    flag("--drain-s", _not_negative, "time for requests in flight after SIGTERM")
    flag("--drain-notice-s", _not_negative, "time between 'not ready' and closing the listener")
    flag("--log-level", str, "least severe log line", LEVELS)
    add_switch(parser, "--access-log", default=False, help="one log line per request")
    flag("--trt-cache", str, "folder that keeps built TensorRT engines")
    add_switch(parser, "--tf32", default=False, help="let a GPU compute with fewer bits: faster, not as the CPU does")
    add_switch(parser, "--spinning", default=False, help="let idle threads of the session keep their core")
    cache_text = f"where predictions are kept to be given again: {FORMS}"
    add_flag(parser, "--cache", kind=_cache, default=default["cache"], help=cache_text, action=_WithoutPassword)
    flag("--cache-entries", _positive, "predictions that the cache in memory holds")
    flag("--cache-ttl-s", _not_negative, "how long a prediction is kept; 0: as long as there is room")
    flag("--cache-budget-ms", _above_zero, "longest that a request waits for a Redis before it is computed instead")
    _add_security_flags(parser, flag, default)
    parser.add_argument("--fault", action=_PlantFault, metavar="NAME[:KEY=VALUE,...]", help=FAULT_HELP)
    return parser


def _add_security_flags(parser: argparse.ArgumentParser, flag: Callable[..., None], default: dict[str, Any]) -> None:
    """See security/. Secrets themselves have no flag."""
    flag("--auth", str, "credentials that callers must bring", AUTH)
    flag("--api-keys-file", str, "file of API keys, NAME:KEY each (or the variable PROOFLOAD_API_KEYS)")
    flag("--jwt-algorithm", str, "the one by which tokens are signed", ALGORITHMS)
    flag("--jwt-key-file", str, "public key (RS256) or secret (HS256) (or the variable PROOFLOAD_JWT_KEY)")
    flag("--jwt-issuer", str, "who must have issued a token")
    flag("--jwt-audience", str, "for whom a token must be meant")
    flag("--jwt-scope", str, "what a token must permit")
    flag("--jwt-leeway-s", _not_negative, "by how much the clocks of issuer and server may differ")
    flag("--rate-limit-rps", _not_negative, "requests a second of each client, in each worker; 0: no limit")
    flag("--rate-limit-burst", _count, "requests that a client may make at once; 0: what a second brings")
    flag("--rate-limit-clients", _positive, "clients of each kind (key, token, address) of which count is kept")
    for name, text in (
        ("--guard-metrics", "want credentials for /metrics too"),
        ("--allow-unauthenticated", "listen beyond loopback without credentials: something else guards the port"),
    ):
        add_switch(parser, name, default=default[_member(name)], help=text)


class _WithoutPassword(argparse.Action):
    """For an address: everybody on a machine sees flags, so a password in one is refused."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        if told(values) != values:
            parser.error(f"{option}: an address with a password belongs into {_variable(str(option))}")
        setattr(namespace, self.dest, values)


class _PlantFault(argparse.Action):
    """Refuses what cannot be planted before anything is loaded. Never from the environment: a fault is asked for."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, _option: str | None = None
    ) -> None:
        from proofload_servers.faults import check, listing

        if values == "list":
            sys.stdout.write(listing())
            parser.exit()
        given = [*(getattr(namespace, self.dest) or ()), str(values)]
        try:
            check(given, server=parser.prog.rpartition(".")[2])
        except StartupError as exc:
            parser.exit(2, f"error: {exc}\n")
        setattr(namespace, self.dest, given)


def add_flag(
    parser: argparse.ArgumentParser,
    name: str,
    *,
    default: Any,
    help: str,  # noqa: A002  argparse's own word
    kind: Callable[[str], Any] = str,
    choices: tuple[str, ...] | None = None,
    action: str | type[argparse.Action] = "store",
) -> None:
    """Adds a flag whose default may come from PROOFLOAD_<NAME>. A default of None makes it required."""
    value = os.environ.get(_variable(name), default)
    text = help if default in {None, ""} else f"{help} (default {default})"
    parser.add_argument(
        name, type=kind, default=value, required=value is None, choices=choices, help=text, action=action
    )
    if choices is not None and value not in choices:
        parser.error(f"{_variable(name)}={value}: choose from {', '.join(choices)}")


def add_switch(parser: argparse.ArgumentParser, name: str, *, default: bool, help: str) -> None:  # noqa: A002
    """Adds --name and --no-name; the environment says 1/0, true/false, yes/no or on/off."""
    word = os.environ.get(_variable(name))
    value = default
    if word is not None:
        if word.lower() not in TRUE_WORDS | FALSE_WORDS:
            parser.error(f"{_variable(name)}={word}: say 1 or 0")
        value = word.lower() in TRUE_WORDS
    parser.add_argument(name, action=argparse.BooleanOptionalAction, default=value, help=help)


def _member(name: str) -> str:
    return name.lstrip("-").replace("-", "_")


def _variable(name: str) -> str:
    return "PROOFLOAD_" + _member(name).upper()


def _number_within(text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text} is not between {low:g} and {high:g}")
    return value


def _whole(text: str, low: int, high: int) -> int:
    value = _number_within(text, low, high)
    if value != int(value):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number")
    return int(value)


def _port(text: str) -> int:
    return _whole(text, 0, 65535)


def _positive(text: str) -> int:
    return _whole(text, 1, 1_000_000)


def _above_zero(text: str) -> float:
    return _number_within(text, 0.001, 86_400_000.0)


def _cache(text: str) -> str:
    try:
        return checked(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def _count(text: str) -> int:
    return _whole(text, 0, 1_000_000)


def _not_negative(text: str) -> float:
    return _number_within(text, 0.0, 86_400_000.0)
