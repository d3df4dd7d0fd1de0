"""Target files: how a model server is reached and, optionally, started.

A `Target` is what the file says, placeholders still in place; `filled` replaces them. Secrets are
named (`env:NAME`), looked up when a request is built, and never stored.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urljoin, urlsplit, urlunsplit

from pydantic import Field, field_validator, model_validator

from proofload.errors import InputError
from proofload.placeholders import misspelt_placeholder, names_in, replaced
from proofload.toml_input import Table

HIDDEN = "(hidden)"
KAFKA_IMAGE = "apache/kafka:4.1.0"
"""The broker that `broker = "container"` brings."""
_SECRET_NAME = re.compile(r"authorization|cookie|key|token|secret|password|credential", re.IGNORECASE)
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:+-]{0,99}$")
_BROUGHT = re.compile(r"container(?::(?!\d+$)(?P<image>.+))?")
_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/\s]")


class RequestTable(Table):
    """[request]: what each request carries besides its payload."""

    headers: dict[str, str] = Field(default_factory=dict)
    method: str | None = None
    """grpc: "pkg.Service/Method"."""
    proto: str | None = None
    """grpc: a .proto file, relative to the target file, or "reflection"."""
    topic: str | None = None
    correlation: str | None = None
    """kafka: the header that an answer copies from its request."""
    keys: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """kafka: over how many message keys the payloads are spread, by their number; absent: messages have no key."""
    stream: bool = False
    user_header: str | None = None
    """http: the header that carries a payload's user, for routers that assign by user."""
    deadline: bool = True
    """grpc: tell the server how long the client waits."""


class ResponseTable(Table):
    """[response]: where the prediction stands in an answer, and how near is equal."""

    prediction: str = "$.prediction"
    version: str | None = None
    expected_version: str | None = None
    rtol: Annotated[float, Field(ge=0, lt=1)] = 1e-4
    topic: str | None = None


class Health(Table):
    """[health]: paths on the target's own address, or full URLs."""

    ready: str | None = None
    live: str | None = None


class ProbeTable(Table):
    """[probe]: what may be read of the target from outside."""

    metrics: str | None = None
    pid: Annotated[int, Field(gt=0)] | None = None


class Start(Table):
    """[start]: how a local process is started; its working directory is the target file's folder."""

    command: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    env: dict[str, str] = Field(default_factory=dict)
    ready_timeout_s: Annotated[float, Field(gt=0)] = 30.0


Port = Annotated[int, Field(gt=0, lt=65536)]


class Container(Table):
    """[container]: what `--runtime container` starts."""

    image: Annotated[str, Field(min_length=1)]
    command: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """What follows the image's entry point; empty: the image's own."""
    env: dict[str, str] = Field(default_factory=dict)
    """`env:NAME` is looked up on the host."""
    port: Port | None = None
    """What it listens on inside where {port} is published; absent: the same number."""
    ports: dict[str, Port] = Field(default_factory=dict)
    """The same for {port:NAME}."""
    network: Literal["bridge", "host"] = "bridge"
    """bridge: its ports are published on 127.0.0.1; host: it shares the host's network, and binds them itself."""
    hardened: bool = False
    """Read-only root file system with a /tmp in memory, no capabilities, no new privileges."""
    volumes: dict[str, str] = Field(default_factory=dict)
    """Path inside: a host path (absolute, or relative with a "./" before it) or a volume's name, with ":ro" after it to
    keep it from being written."""
    ready_timeout_s: Annotated[float, Field(gt=0)] = 60.0


class Limits(Table):
    """[limits]: what the runtime holds the target to."""

    cpus: Annotated[float, Field(gt=0)] | None = None
    memory_mib: Annotated[int, Field(gt=0)] | None = None


class Target(Table):
    """One model server under test, as its file describes it."""

    name: str
    description: str = ""
    transport: Annotated[str, Field(min_length=1)]
    url: str
    model: str | None = None
    payloads: str | None = None
    """A JSONL file, relative to the target file; see `payloads_path`."""
    broker: str | None = None
    """kafka: "host:port" of a broker to use in place of the embedded one; or "container", "container:IMAGE"."""
    request: RequestTable = Field(default_factory=RequestTable)
    response: ResponseTable = Field(default_factory=ResponseTable)
    health: Health = Field(default_factory=Health)
    probe: ProbeTable = Field(default_factory=ProbeTable)
    start: Start | None = None
    container: Container | None = None
    limits: Limits = Field(default_factory=Limits)
    version_in: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = None
    """Environment variables and flags of [start] and [container] that say which version is under test; see
    nightly/likeness.py."""
    source: Annotated[Path | None, Field(strict=False, exclude=True)] = None
    """The file it was read from (no key of the file); None for a bare URL."""

    @field_validator("name")
    @classmethod
    def _is_a_plain_name(cls, name: str) -> str:
        if not _NAME.match(name):  # it becomes a folder's name, too
            raise ValueError("a name of letters, digits and . _ : + -")
        return name

    @field_validator("url")
    @classmethod
    def _has_a_scheme(cls, url: str) -> str:
        if not _URL.match(url):
            raise ValueError('a URL with a scheme, like "http://127.0.0.1:8000/predict"')
        return url

    @model_validator(mode="after")
    def _names_the_version(self) -> Target:
        ways = [way for way in (self.start, self.container) if way is not None]
        known = {name: None for way in ways for name in way.env}
        known |= {word.partition("=")[0]: None for way in ways for word in way.command if word.startswith("-")}
        for name in self.version_in or ():
            if name not in known:
                there = ", ".join(known) or "none"
                raise ValueError(f"`version_in` to name variables or flags of [start] or [container] ({there}), "
                                 f"not {name!r}")  # fmt: skip
        return self

    @property
    def folder(self) -> Path:
        """What relative paths are relative to, and where [start] runs."""
        return self.source.parent if self.source is not None else Path.cwd()

    @property
    def payloads_path(self) -> Path | None:
        """The payload file, absolute; only right once placeholders are filled."""
        return None if self.payloads is None else (self.folder / self.payloads).absolute()

    @property
    def request_table(self) -> dict[str, Any]:
        """[request] as a transport gets it: paths absolute, and without headers. The engine process is told these as
        they stand in the file, and looks up what they name itself (see `ArmSpec`)."""
        table = self.request.model_dump(exclude={"headers"}, exclude_none=True)
        if self.request.proto not in {None, "reflection"}:
            table["proto"] = str((self.folder / str(self.request.proto)).absolute())
        return table

    @property
    def ready_url(self) -> str | None:
        return self._on_own_address("health.ready", self.health.ready)

    @property
    def live_url(self) -> str | None:
        return self._on_own_address("health.live", self.health.live)

    @property
    def metrics_url(self) -> str | None:
        return self._on_own_address("probe.metrics", self.probe.metrics)

    @property
    def broker_image(self) -> str | None:
        """What `broker` asks the lab to bring in a container; None where it is an address, or absent."""
        found = _BROUGHT.fullmatch(self.broker or "")
        return None if found is None else found["image"] or KAFKA_IMAGE

    @property
    def is_external(self) -> bool:
        """Nothing says how to start it: it must be running already."""
        return self.start is None and self.container is None

    def filled(self, values: Mapping[str, str]) -> Target:
        """This target with `{name}` replaced by `values[name]` in every string; others stay.

        `{model}` and `{python}` are known without being given; a `broker` of the target's own is too.
        """
        known = {"python": sys.executable}
        if self.model is not None:
            known["model"] = replaced(self.model, values)
        if self.broker is not None and self.broker_image is None:
            known["broker"] = self.broker
        known |= values
        plain = self.model_dump()
        return Target.model_validate(_mapped(plain, lambda text: replaced(text, known)) | {"source": self.source})

    def placeholders(self) -> list[str]:
        """The placeholders still in place, in order of appearance: "port", "port:metrics", "broker"."""
        found: dict[str, None] = {}

        def note(text: str) -> str:
            found.update(dict.fromkeys(names_in(text)))
            return text

        _mapped(self.model_dump(), note)
        return list(found)

    def uses(self, placeholder: str) -> bool:
        return placeholder in self.placeholders()

    def ports(self) -> list[str]:
        """The free ports it needs: "" for {port}, "metrics" for {port:metrics}."""
        names = [name.partition(":") for name in self.placeholders()]
        return [port for word, _, port in names if word == "port"]

    def redacted(self) -> dict[str, Any]:
        """The target as plain data for a run folder: `env:NAME` stays, literal secrets are hidden."""
        plain: dict[str, Any] = self.model_dump(mode="json", exclude_none=True)
        plain["url"] = without_secrets(self.url)
        for table, key in (("health", "ready"), ("health", "live"), ("probe", "metrics")):
            if key in plain[table]:
                plain[table][key] = without_secrets(plain[table][key])
        plain["source"] = None if self.source is None else str(self.source)
        for table, key in (("request", "headers"), ("start", "env"), ("container", "env")):
            if table in plain:
                plain[table][key] = {name: hidden_if_secret(name, value) for name, value in plain[table][key].items()}
        return plain

    def misspelt_placeholders(self) -> list[str]:
        """Placeholders that look like a slip of a known one, as "{prot} (did you mean {port}?)"."""
        found: list[str] = []

        def check(text: str) -> str:
            slip = misspelt_placeholder(text)
            if slip:
                found.append(slip)
            return text

        _mapped(self.model_dump(), check)
        return found

    def _on_own_address(self, key: str, path: str | None) -> str | None:
        if path is None or _URL.match(path):
            return path
        scheme = urlsplit(self.url).scheme.lower()
        if scheme not in {"http", "https"}:
            raise InputError(
                f"target {self.name}: `{key}` = {path!r} is a path, but {self.url} does not speak HTTP",
                cause=f"a path is asked of the target's own address, and that one is {scheme}://",
                remedy=f'write a full URL, like {key.partition(".")[2]} = "http://127.0.0.1:{{port:metrics}}/…"',
            )
        return urljoin(self.url, path)


def without_secrets(url: str) -> str:
    """The URL without the password (or the only word: a token) before its host and query values of secret names."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        user, _, host = parts.netloc.rpartition("@")
        name, colon, _ = user.partition(":")
        parts = parts._replace(netloc=f"{f'{name}:' if colon else ''}{HIDDEN}@{host}")
    query = "&".join(_query_item(item) for item in parts.query.split("&"))
    return urlunsplit(parts._replace(query=query))


def _query_item(item: str) -> str:
    name, equals, value = item.partition("=")
    return f"{name}={HIDDEN}" if equals and value and _SECRET_NAME.search(name) else item


def hidden_if_secret(name: str, value: str) -> str:
    """`value`, or a placeholder where the name sounds secret; a reference to the environment is none."""
    return HIDDEN if _SECRET_NAME.search(name) and not value.startswith("env:") else value


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(_mapped(item, change) for item in value)
    return value
